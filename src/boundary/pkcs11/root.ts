/**
 * A token as root of trust: the sealing roots are wrapped by AES-GCM under a key that was made in the token and cannot leave it.
 * Wrapped bytes: 0x01 ‖ IV (12) ‖ ciphertext ‖ tag (16). Additional data: the label below, a zero byte, and the key's id.
 */
import { randomBytes } from 'node:crypto'
import { Reader, Writer } from '../bytes.ts'
import { RootError, type RootOfTrust, Secret } from '../root/types.ts'
import { IV_BYTES, type ObjectRef, TAG_BYTES, type Token, TokenError, type TokenKey } from './types.ts'

const FORMAT = 1
const AAD_LABEL = 'holdfast root of trust'
const ID_BYTES = 16

/**
 * At the first start: the root key of this label, made where there is none. A key that a first start left behind, which ended before its root file was
 * written, is taken; several of one label are refused. Rejects with `RootError` Refused, or `TokenError`.
 */
export async function createTokenRoot(token: Token, label: string): Promise<RootOfTrust> {
  const key = (await existing(token, label)) ?? (await make(token, label))
  if (key.id === '')
    throw new RootError(
      'Refused',
      `the key "${label}" of the token has no CKA_ID: give it one, or choose another label`,
    )
  if (!key.mayEncrypt || !key.mayDecrypt) {
    throw new RootError('Refused', `the key "${label}" of the token must be allowed to encrypt and to decrypt`)
  }
  return new TokenRoot(token, key.id, label)
}

/** At later starts: `parameters` is what the root file kept. Whether it is the right key shows at `unwrap`. */
export function openTokenRoot(token: Token, parameters: Buffer): RootOfTrust {
  const reader = new Reader(parameters)
  if (reader.u8() !== FORMAT)
    throw new RootError('Damaged', 'the root file names its token key in a form that is not known here')
  const id = reader.short().toString('hex')
  const label = reader.string()
  reader.end()
  return new TokenRoot(token, id, label)
}

/** CKA_ID (hex) of the object that a token's root of trust is. */
export function objectIdOf({ parameters }: RootOfTrust): string {
  const reader = new Reader(parameters)
  reader.u8()
  return reader.short().toString('hex')
}

async function existing(token: Token, label: string): Promise<TokenKey | undefined> {
  try {
    return await token.findKey(`label:${label}`)
  } catch (error) {
    if (error instanceof TokenError && error.code === 'KeyNotFound') return undefined
    throw error
  }
}

function make(token: Token, label: string): Promise<TokenKey> {
  return token.generateKey(label, randomBytes(ID_BYTES), { encrypt: true, decrypt: true })
}

class TokenRoot implements RootOfTrust {
  readonly kind = 'pkcs11'
  readonly parameters: Buffer
  readonly #token: Token
  readonly #ref: ObjectRef
  readonly #label: string
  readonly #aad: Buffer

  constructor(token: Token, id: string, label: string) {
    const idBytes = Buffer.from(id, 'hex')
    this.#token = token
    this.#ref = `id:${id}`
    this.#label = label
    this.#aad = Buffer.concat([Buffer.from(`${AAD_LABEL}\0`), idBytes])
    this.parameters = Buffer.from(new Writer().u8(FORMAT).short(idBytes).string(label).done())
  }

  async wrap(secret: Secret): Promise<Buffer> {
    const { iv, ciphertext, tag } = await secret.use(bytes =>
      this.#token.gcmEncrypt(this.#ref, randomBytes(IV_BYTES), this.#aad, bytes),
    )
    return Buffer.concat([Buffer.from([FORMAT]), iv, ciphertext, tag])
  }

  async unwrap(wrapped: Buffer): Promise<Secret> {
    if (wrapped.length < 1 + IV_BYTES + TAG_BYTES || wrapped[0] !== FORMAT) {
      throw new RootError('Damaged', 'the sealing root in the root file is not in the form of a token')
    }
    const end = wrapped.length - TAG_BYTES
    const iv = wrapped.subarray(1, 1 + IV_BYTES)
    try {
      return new Secret(
        await this.#token.gcmDecrypt(
          this.#ref,
          iv,
          this.#aad,
          wrapped.subarray(1 + IV_BYTES, end),
          wrapped.subarray(end),
        ),
      )
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
      if (error.code === 'InvalidCiphertext') {
        throw new RootError(
          'WrongRoot',
          `the key "${this.#label}" of the token is not the one that wrapped the sealing root`,
        )
      }
      if (error.code === 'KeyNotFound') {
        throw new RootError('WrongRoot', `the token does not hold the root key "${this.#label}" (${this.#ref})`)
      }
      throw error
    }
  }
}
