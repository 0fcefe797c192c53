/**
 * Taking the padding of RSAES-OAEP off what a raw RSA operation has left (RFC 8017 §7.1.2, step 3), by OpenSSL's own function: it looks at all bytes, in
 * the same way and time, before it says anything. In JavaScript nothing could promise that. See docs/decisions/0035.
 */
import { type Callable, ownProgram, type PointerCallable } from './koffi.ts'
import type { OaepHash } from './types.ts'

interface Functions {
  readonly check: Callable
  readonly clear: Callable
  readonly digests: Readonly<Record<OaepHash, bigint>>
}

const cString = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1')

function load(): Functions | undefined {
  try {
    const { func, pointer } = ownProgram()
    const byName: PointerCallable = pointer('void *EVP_get_digestbyname(const char *name)')
    const [sha1, sha256] = [byName(cString('SHA1')), byName(cString('SHA256'))]
    if (sha1 === null || sha256 === null) return undefined
    return {
      check: func(
        'int RSA_padding_check_PKCS1_OAEP_mgf1(void *to, int tlen, const void *from, int flen, int num, const void *param, int plen, void *md, void *mgf1md)',
      ),
      clear: func('void ERR_clear_error()'),
      digests: { sha1, sha256 },
    }
  } catch {
    return undefined
  }
}

const functions = load()

/** Whether this build of Node shows its OpenSSL's function. */
export const canUnpad = functions !== undefined

/** The plaintext within an encoded message of as many bytes as the modulus has; undefined where it is none, always alike. Wipes `encoded`. */
export function unpadOaep(encoded: Buffer, hash: OaepHash): Buffer | undefined {
  if (functions === undefined) throw new Error('this build of Node does not show its OpenSSL')
  const out = Buffer.allocUnsafeSlow(encoded.length)
  try {
    const { length } = encoded
    const digest = functions.digests[hash]
    const found = functions.check(out, length, encoded, length, length, null, 0, digest, digest)
    functions.clear()
    if (found < 0) return undefined
    const plaintext = Buffer.allocUnsafeSlow(found)
    out.copy(plaintext, 0, 0, found)
    return plaintext
  } finally {
    out.fill(0)
    encoded.fill(0)
  }
}
