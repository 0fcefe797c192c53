/**
 * The part of OpenSSL that `node:crypto` does not show: signatures of a digest that is ready, of an external mu (FIPS 204 §6.2), and Ed25519ph (RFC 8032
 * §5.1). Node contains OpenSSL and exports its functions; where a build of Node does not, `unavailable` says so and every call here throws.
 *
 * Every object that OpenSSL makes here is freed here. Bounds are checked before a length reaches C.
 */
import { addressOf, type Callable, type Library, ownProgram, type PointerCallable } from './koffi.ts'

/** How a signature is made from the bytes given. */
export type SignatureScheme =
  /** RFC 8017; of PSS the salt is as long as the hash, and MGF1 uses the same hash. The input is the digest. */
  | { readonly kind: 'rsa-pkcs1' | 'rsa-pss'; readonly hash: HashName }
  /** DER SEQUENCE(r, s). The input is the digest. */
  | { readonly kind: 'ecdsa'; readonly hash: HashName }
  /** The input is mu: 64 bytes. */
  | { readonly kind: 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87' }
  /** The input is the message, which is hashed here. */
  | { readonly kind: 'ed25519ph' }
export type HashName = 'sha256' | 'sha384' | 'sha512'

interface Functions {
  readonly d2i_AutoPrivateKey: PointerCallable
  readonly d2i_PUBKEY: PointerCallable
  readonly EVP_PKEY_free: Callable
  readonly EVP_PKEY_check: Callable
  readonly EVP_PKEY_get_size: Callable
  readonly EVP_PKEY_CTX_new_from_pkey: PointerCallable
  readonly EVP_PKEY_CTX_free: Callable
  readonly EVP_PKEY_sign_init: Callable
  readonly EVP_PKEY_verify_init: Callable
  readonly EVP_PKEY_sign_message_init: Callable
  readonly EVP_PKEY_verify_message_init: Callable
  readonly EVP_PKEY_sign: Callable
  readonly EVP_PKEY_verify: Callable
  readonly EVP_PKEY_CTX_set_rsa_padding: Callable
  readonly EVP_PKEY_CTX_set_rsa_pss_saltlen: Callable
  readonly EVP_PKEY_CTX_set_rsa_mgf1_md: Callable
  readonly EVP_PKEY_CTX_set_signature_md: Callable
  readonly EVP_get_digestbyname: PointerCallable
  readonly EVP_SIGNATURE_fetch: PointerCallable
  readonly ERR_clear_error: Callable
}

function find(library: Library): Functions {
  const { func, pointer } = library
  return {
    d2i_AutoPrivateKey: pointer('void *d2i_AutoPrivateKey(void *out, const void *in, long length)'),
    d2i_PUBKEY: pointer('void *d2i_PUBKEY(void *out, const void *in, long length)'),
    EVP_PKEY_check: func('int EVP_PKEY_check(void *ctx)'),
    EVP_PKEY_free: func('void EVP_PKEY_free(void *pkey)'),
    EVP_PKEY_get_size: func('int EVP_PKEY_get_size(void *pkey)'),
    EVP_PKEY_CTX_new_from_pkey: pointer(
      'void *EVP_PKEY_CTX_new_from_pkey(void *library, void *pkey, const char *properties)',
    ),
    EVP_PKEY_CTX_free: func('void EVP_PKEY_CTX_free(void *ctx)'),
    EVP_PKEY_sign_init: func('int EVP_PKEY_sign_init(void *ctx)'),
    EVP_PKEY_verify_init: func('int EVP_PKEY_verify_init(void *ctx)'),
    EVP_PKEY_sign_message_init: func('int EVP_PKEY_sign_message_init(void *ctx, void *algorithm, const void *params)'),
    EVP_PKEY_verify_message_init: func(
      'int EVP_PKEY_verify_message_init(void *ctx, void *algorithm, const void *params)',
    ),
    EVP_PKEY_sign: func('int EVP_PKEY_sign(void *ctx, void *sig, void *siglen, const void *tbs, size_t tbslen)'),
    EVP_PKEY_verify: func(
      'int EVP_PKEY_verify(void *ctx, const void *sig, size_t siglen, const void *tbs, size_t tbslen)',
    ),
    EVP_PKEY_CTX_set_rsa_padding: func('int EVP_PKEY_CTX_set_rsa_padding(void *ctx, int padding)'),
    EVP_PKEY_CTX_set_rsa_pss_saltlen: func('int EVP_PKEY_CTX_set_rsa_pss_saltlen(void *ctx, int length)'),
    EVP_PKEY_CTX_set_rsa_mgf1_md: func('int EVP_PKEY_CTX_set_rsa_mgf1_md(void *ctx, void *md)'),
    EVP_PKEY_CTX_set_signature_md: func('int EVP_PKEY_CTX_set_signature_md(void *ctx, void *md)'),
    EVP_get_digestbyname: pointer('void *EVP_get_digestbyname(const char *name)'),
    EVP_SIGNATURE_fetch: pointer('void *EVP_SIGNATURE_fetch(void *library, const char *name, const char *properties)'),
    ERR_clear_error: func('void ERR_clear_error()'),
  }
}

/** What is compiled into this file: names of OpenSSL's headers. */
const RSA_PKCS1_PADDING = 1
const RSA_PKCS1_PSS_PADDING = 6
const RSA_PSS_SALTLEN_DIGEST = -1
const OSSL_PARAM_INTEGER = 1
const OSSL_PARAM_UNMODIFIED = 0xffff_ffff_ffff_ffffn

/** Algorithms and digests are fetched once and kept for the life of the process. */
interface Loaded extends Functions {
  readonly digests: Readonly<Record<HashName, bigint>>
  readonly signatures: Readonly<Record<'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87' | 'ed25519ph', bigint>>
  /** OSSL_PARAM[2]: "mu" = 1, end. */
  readonly mu: Buffer
  /** What `mu` points to. */
  readonly pointedTo: readonly Buffer[]
}

/** Every address in this file is one of 64 bits, as on all systems that Node is built for. */
function muParams(): Pick<Loaded, 'mu' | 'pointedTo'> {
  const name = Buffer.from('mu\0', 'latin1')
  const one = Buffer.alloc(4)
  new Int32Array(one.buffer, one.byteOffset, 1)[0] = 1
  const mu = Buffer.alloc(80)
  const words = new BigUint64Array(mu.buffer, mu.byteOffset, 10)
  words.set([addressOf(name), BigInt(OSSL_PARAM_INTEGER), addressOf(one), 4n, OSSL_PARAM_UNMODIFIED])
  return { mu, pointedTo: [name, one] }
}

function load(): Loaded | string {
  try {
    const functions = find(ownProgram())
    const present = (address: bigint | null, what: string): bigint => {
      if (address === null) throw new Error(`OpenSSL has no ${what}`)
      return address
    }
    const digest = (name: string) => present(functions.EVP_get_digestbyname(cString(name)), name)
    const signature = (name: string) => present(functions.EVP_SIGNATURE_fetch(null, cString(name), null), name)
    return {
      ...functions,
      digests: { sha256: digest('SHA256'), sha384: digest('SHA384'), sha512: digest('SHA512') },
      signatures: {
        'ml-dsa-44': signature('ML-DSA-44'),
        'ml-dsa-65': signature('ML-DSA-65'),
        'ml-dsa-87': signature('ML-DSA-87'),
        ed25519ph: signature('Ed25519ph'),
      },
      ...muParams(),
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const cString = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1')

const loaded = load()

/** Why the calls of this file cannot be made, a sentence for the operator; undefined where they can. */
export const unavailable: string | undefined =
  typeof loaded === 'string'
    ? `this build of Node shows no OpenSSL 3.5 to its libraries, so that digests cannot be signed: ${loaded}`
    : undefined

function library(): Loaded {
  if (typeof loaded === 'string') throw new Error(loaded)
  return loaded
}

/** Objects whose NativeKey was collected. OpenSSL wipes the private parts of what it frees. */
const forgotten = new FinalizationRegistry<bigint>(pkey => {
  library().EVP_PKEY_free(pkey)
})

/** A key as OpenSSL has it, kept as long as this object is referenced. */
export class NativeKey {
  readonly #pkey: bigint
  readonly #size: number

  private constructor(pkey: bigint) {
    this.#pkey = pkey
    this.#size = library().EVP_PKEY_get_size(pkey)
  }

  /** `der` is PKCS #8 or SPKI, and is not wiped. Throws for what is none, and where OpenSSL cannot be reached. */
  static read(der: Buffer, half: 'private' | 'public'): NativeKey {
    const openssl = library()
    const at = Buffer.alloc(8)
    new BigUint64Array(at.buffer, at.byteOffset, 1)[0] = addressOf(der)
    const read = half === 'private' ? openssl.d2i_AutoPrivateKey : openssl.d2i_PUBKEY
    const pkey = read(null, at, der.length)
    if (pkey === null) {
      openssl.ERR_clear_error()
      throw new Error('OpenSSL reads no key there')
    }
    const key = new NativeKey(pkey)
    forgotten.register(key, pkey)
    return key
  }

  /** Where the key is, for another thread: only as long as this object is referenced. */
  get address(): bigint {
    return this.#pkey
  }

  /** A key of another thread, at its `address`. */
  static lent(address: bigint): NativeKey {
    return new NativeKey(address)
  }

  /** The signature of `input` (a digest, mu or message, as the scheme says). Throws where key and scheme do not fit. */
  sign(scheme: SignatureScheme, input: Buffer): Buffer {
    const openssl = library()
    const ctx = this.#context(scheme, 'sign')
    try {
      const { signature, length, lengthOf } = this.#room()
      const result = openssl.EVP_PKEY_sign(ctx, signature, length, input, input.length)
      return this.#signed(result, signature, lengthOf)
    } finally {
      openssl.EVP_PKEY_CTX_free(ctx)
    }
  }

  /** Whether `signature` is one of `input`. Never throws for what a signature may be. */
  verify(scheme: SignatureScheme, input: Buffer, signature: Buffer): boolean {
    const openssl = library()
    const ctx = this.#context(scheme, 'verify')
    try {
      return this.#verified(openssl.EVP_PKEY_verify(ctx, signature, signature.length, input, input.length))
    } finally {
      openssl.EVP_PKEY_CTX_free(ctx)
    }
  }

  /** Whether a private key agrees with itself: primes, exponents, and the two halves with each other. On a thread of libuv's pool. */
  async check(): Promise<boolean> {
    const openssl = library()
    const ctx = openssl.EVP_PKEY_CTX_new_from_pkey(null, this.#pkey, null)
    if (ctx === null) throw new Error('OpenSSL made no context')
    return this.#verified(await this.#onPool(ctx, openssl.EVP_PKEY_check, [ctx]))
  }

  /** Room for a signature, and C's size_t for its length. */
  #room(): { signature: Buffer; length: Buffer; lengthOf: BigUint64Array } {
    const signature = Buffer.alloc(this.#size)
    const length = Buffer.alloc(8)
    const lengthOf = new BigUint64Array(length.buffer, length.byteOffset, 1)
    lengthOf[0] = BigInt(this.#size)
    return { signature, length, lengthOf }
  }

  #signed(result: number, signature: Buffer, length: BigUint64Array): Buffer {
    if (result !== 1) {
      library().ERR_clear_error()
      throw new Error('OpenSSL made no signature')
    }
    return signature.subarray(0, Number(length[0]))
  }

  #verified(result: number): boolean {
    if (result !== 1) library().ERR_clear_error()
    return result === 1
  }

  /** Calls with a context, which holds a reference of OpenSSL's to the key and is freed when the call has returned. */
  #onPool(ctx: bigint, call: Callable, args: Parameters<Callable>): Promise<number> {
    return new Promise((resolve, reject) => {
      call.async(...args, (error, result) => {
        library().EVP_PKEY_CTX_free(ctx)
        if (error === null) resolve(result)
        else reject(error)
      })
    })
  }

  /** A context of this key that is ready for one call, the caller's to free. */
  #context(scheme: SignatureScheme, use: 'sign' | 'verify'): bigint {
    const openssl = library()
    const ctx = openssl.EVP_PKEY_CTX_new_from_pkey(null, this.#pkey, null)
    if (ctx === null) throw new Error('OpenSSL made no context')
    if (prepare(openssl, ctx, scheme, use)) return ctx
    openssl.EVP_PKEY_CTX_free(ctx)
    openssl.ERR_clear_error()
    throw new Error('key and signature scheme do not fit')
  }
}

function prepare(openssl: Loaded, ctx: bigint, scheme: SignatureScheme, use: 'sign' | 'verify'): boolean {
  if (!('hash' in scheme)) {
    const { signatures, mu, EVP_PKEY_sign_message_init, EVP_PKEY_verify_message_init } = openssl
    const start = use === 'sign' ? EVP_PKEY_sign_message_init : EVP_PKEY_verify_message_init
    return start(ctx, signatures[scheme.kind], scheme.kind === 'ed25519ph' ? null : mu) === 1
  }
  const start = use === 'sign' ? openssl.EVP_PKEY_sign_init : openssl.EVP_PKEY_verify_init
  const digest = openssl.digests[scheme.hash]
  if (start(ctx) !== 1) return false
  if (scheme.kind === 'ecdsa') return openssl.EVP_PKEY_CTX_set_signature_md(ctx, digest) === 1
  const padding = scheme.kind === 'rsa-pss' ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING
  if (openssl.EVP_PKEY_CTX_set_rsa_padding(ctx, padding) !== 1) return false
  if (openssl.EVP_PKEY_CTX_set_signature_md(ctx, digest) !== 1) return false
  if (scheme.kind === 'rsa-pkcs1') return true
  return (
    openssl.EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) === 1 &&
    openssl.EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, digest) === 1
  )
}
