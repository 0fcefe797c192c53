/**
 * What a token can do, tried for real: on keys of the probe's own, which are objects of its session, so that a token has nothing of them when it is over, however it
 * ends. One login, as everywhere. Calls are made on this thread: for a program of its own, with the service stopped.
 */
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import type { Secret } from '../root/types.ts'
import { ALGORITHMS, byBlocks } from './aes-wrap.ts'
import { type Connection, connect, openSession } from './connection.ts'
import { CKA, CKK_AES, CKM, CKO_SECRET_KEY, CKR, ckrName } from './constants.ts'
import { type Cryptoki, loadCryptoki } from './cryptoki.ts'
import { isInvalidCiphertext, tokenError } from './errors.ts'
import { canUnpad } from './libcrypto-oaep.ts'
import { type MechanismInfo, mechanismsOf } from './mechanisms.ts'
import { type Module, openModule, type Ran } from './module.ts'
import { rawDecrypt } from './oaep.ts'
import { pairTemplates, publicHalfOf } from './pairs.ts'
import type { SlotOwner } from './reinitialization.ts'
import { type Attribute, attributeBoolean, attributeNumber, type Session } from './session.ts'
import {
  IV_BYTES,
  type KeyWrap,
  type ModulusBits,
  type OaepHash,
  TAG_BYTES,
  type TokenCapabilities,
  TokenError,
  type TokenOptions,
} from './types.ts'

export const TRIALS = [
  'random',
  'aes-key',
  'aes-gcm',
  'aes-kw',
  'aes-kwp',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
  'rsa-oaep-sha1',
  'rsa-oaep-sha256',
] as const
export type TrialName = (typeof TRIALS)[number]

export interface Trial {
  readonly name: TrialName
  readonly ok: boolean
  /** How it is done, or why it is not. */
  readonly detail: string
}

export interface TokenReport {
  readonly library: string
  readonly slot: string
  readonly label: string
  readonly manufacturer: string
  readonly model: string
  readonly serial: string
  readonly mechanisms: readonly MechanismInfo[]
  readonly trials: readonly Trial[]
}

export interface ProbeOptions {
  readonly module: string
  readonly token: TokenOptions['token']
  /** Wiped. */
  readonly pin: Secret
  readonly capabilities?: Partial<TokenCapabilities>
}

/** Rejects with `TokenError` where the token cannot be opened; what it cannot do is in the report. */
export async function probeToken(
  { module: path, token, pin, capabilities = {} }: ProbeOptions,
  load: (path: string) => Cryptoki = loadCryptoki,
): Promise<TokenReport> {
  const link: SlotOwner = {
    doubt: async () => {},
    busy: () => true,
    hold: async () => {},
    resume: () => {},
    renew: async () => {},
  }
  const session = { generation: 1, valid: () => true }
  let module: Module | undefined
  try {
    module = openModule(path, load)
    module.asynchronous = false
    const connection = await connect({ module, wanted: token, pin, onLogin: () => {}, link, ...session })
    const { slot, info } = connection
    return {
      library: module.library,
      slot: slot.toString(),
      label: info.label,
      manufacturer: info.manufacturer,
      model: info.model,
      serial: info.serial,
      mechanisms: await mechanismsOf(module, slot),
      trials: await new Probe(module, connection, capabilities).run(),
    }
  } finally {
    pin.wipe()
    module?.close()
  }
}

const NOT_IN_TOKEN: Attribute = [CKA.TOKEN, attributeBoolean(false)]
const WRAPPED: Readonly<Record<KeyWrap, number>> = { plain: 40, padded: 33 }

function check({ rv, call }: Ran): void {
  if (rv !== CKR.OK) throw tokenError(call, rv)
}

/** Why a trial does not succeed, in the words of the report. */
class Cannot extends Error {}

class Probe {
  readonly #module: Module
  readonly #connection: Connection
  readonly #capabilities: Partial<TokenCapabilities>

  constructor(module: Module, connection: Connection, capabilities: Partial<TokenCapabilities>) {
    this.#module = module
    this.#connection = connection
    this.#capabilities = capabilities
  }

  async run(): Promise<Trial[]> {
    const trials: Trial[] = []
    const all: Readonly<Record<TrialName, (session: Session) => Promise<string>>> = {
      random: session => random(session),
      'aes-key': async session => {
        await aesKey(session)
        return 'a key of 256 bits that is sensitive and not extractable'
      },
      'aes-gcm': session => this.#gcm(session),
      'aes-kw': session => this.#wrap(session, 'plain'),
      'aes-kwp': session => this.#wrap(session, 'padded'),
      'rsa-2048': session => makesPair(session, 2048),
      'rsa-3072': session => makesPair(session, 3072),
      'rsa-4096': session => makesPair(session, 4096),
      'rsa-oaep-sha1': session => this.#oaep(session, 'sha1'),
      'rsa-oaep-sha256': session => this.#oaep(session, 'sha256'),
    }
    for (const name of TRIALS) trials.push({ name, ...(await this.#try(all[name])) })
    return trials
  }

  /** Each in a session of its own: a failed call can leave an operation open, and what is made in a session goes with it. */
  async #try(trial: (session: Session) => Promise<string>): Promise<{ ok: boolean; detail: string }> {
    let session: Session | undefined
    try {
      session = await openSession(this.#module, this.#connection.slot, { generation: 1, valid: () => true })
      return { ok: true, detail: await trial(session) }
    } catch (error) {
      if (!(error instanceof TokenError || error instanceof Cannot)) throw error
      return { ok: false, detail: error.message }
    } finally {
      await session?.close()
    }
  }

  async #gcm(session: Session): Promise<string> {
    const { tokenMakesIv = false, zeroIvRequired = false, invalidCiphertext = [] } = this.#capabilities
    const key = await aesKey(session)
    const [aad, plaintext] = [randomBytes(20), randomBytes(40)]
    const given = zeroIvRequired ? Buffer.alloc(IV_BYTES) : randomBytes(IV_BYTES)
    const sealed = await session.gcm('encrypt', key, given, aad, [plaintext])
    check(sealed)
    if (sealed.out.length !== plaintext.length + TAG_BYTES) throw new Cannot('the ciphertext has another length')
    const own = !sealed.iv.equals(given)
    if (own !== tokenMakesIv)
      throw new Cannot(
        own
          ? 'the token makes the IV itself: set tokenMakesIv'
          : 'the token leaves the IV as it was given: tokenMakesIv is wrong',
      )
    const opened = await session.gcm('decrypt', key, sealed.iv, aad, [sealed.out])
    check(opened)
    if (!opened.out.equals(plaintext)) throw new Cannot('the token does not decrypt what it has encrypted')
    const wrong = await session.gcm('decrypt', key, sealed.iv, Buffer.concat([aad, aad]), [sealed.out])
    if (wrong.rv === CKR.OK) throw new Cannot('the token decrypts with other additional data')
    const told = ckrName(wrong.rv)
    const known = [...this.#module.vendor.invalidCiphertext, ...invalidCiphertext].includes(wrong.rv)
    if (!known && !isInvalidCiphertext(wrong.rv))
      throw new Cannot(`a wrong tag is ${told}, which is not the standard's: put ${wrong.rv} into invalidCiphertext`)
    return `IV made by ${own ? 'the token' : 'the boundary'}; a wrong tag is ${told}`
  }

  async #wrap(session: Session, how: KeyWrap): Promise<string> {
    const { wrap, unwrap, mechanism, shown } = ALGORITHMS[how]
    const key = await aesKey(session)
    const limits = { check, deadline: Number.POSITIVE_INFINITY }
    const plaintext = randomBytes(WRAPPED[how])
    const looped = await byBlocks(session, 'encrypt', key, limits, cipher => wrap(plaintext, cipher))
    const opened = await byBlocks(session, 'decrypt', key, limits, cipher => unwrap(looped, cipher))
    if (opened === undefined || !opened.equals(plaintext)) throw new Cannot('its AES blocks do not go back')
    for (const length of shown) {
      const bytes = randomBytes(length)
      const native = await session.crypt('encrypt', { type: mechanism }, key, [bytes])
      if (native.rv !== CKR.OK) return 'by AES blocks in the token: its own mechanism does not take bytes'
      const same = await byBlocks(session, 'encrypt', key, limits, cipher => wrap(bytes, cipher))
      if (!native.out.equals(same)) return `by AES blocks in the token: its own mechanism is wrong for ${length} bytes`
    }
    return 'by its own mechanism, and by AES blocks in it'
  }

  async #oaep(session: Session, hash: OaepHash): Promise<string> {
    const modulusBits = 2048
    const { handle, publicKey } = await pairOf(session, modulusBits)
    const plaintext = randomBytes(32)
    const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }
    const ciphertext = publicEncrypt({ key: publicKey, ...padding }, plaintext)
    const native = await session.crypt('decrypt', { type: CKM.RSA_PKCS_OAEP, hash }, handle, [ciphertext])
    if (native.rv === CKR.OK) {
      if (!native.out.equals(plaintext)) throw new Cannot('the token decrypts it to something else')
      return 'by its own mechanism'
    }
    if (!canUnpad) check(native)
    const again = await openSession(this.#module, this.#connection.slot, { generation: 1, valid: () => true })
    try {
      const pair = await pairOf(again, modulusBits)
      const other = publicEncrypt({ key: pair.publicKey, ...padding }, plaintext)
      const opened = await rawDecrypt(again, { handle: pair.handle, modulusBits }, hash, other, check)
      if (opened === undefined || !opened.equals(plaintext)) throw new Cannot('its raw RSA gives something else')
      return `by raw RSA in the token (${native.call} answered ${ckrName(native.rv)}); the padding is taken off in the boundary`
    } finally {
      await again.close()
    }
  }
}

async function random(session: Session): Promise<string> {
  const [one, two] = [await session.random(32), await session.random(32)]
  check(one)
  check(two)
  if (one.out.equals(two.out)) throw new Cannot('it repeats itself')
  return '32 bytes, twice, and not the same'
}

async function aesKey(session: Session): Promise<bigint> {
  const [yes, no] = [attributeBoolean(true), attributeBoolean(false)]
  const made = await session.generate([
    [CKA.CLASS, attributeNumber(CKO_SECRET_KEY)],
    [CKA.KEY_TYPE, attributeNumber(CKK_AES)],
    NOT_IN_TOKEN,
    [CKA.VALUE_LEN, attributeNumber(32)],
    [CKA.PRIVATE, yes],
    [CKA.SENSITIVE, yes],
    [CKA.EXTRACTABLE, no],
    [CKA.ENCRYPT, yes],
    [CKA.DECRYPT, yes],
  ])
  check(made)
  return made.handle
}

async function pairOf(session: Session, modulusBits: ModulusBits) {
  const made = await session.generatePair(...pairTemplates(modulusBits, true, [NOT_IN_TOKEN]))
  check(made)
  const spki = await publicHalfOf(session, made.publicKey)
  return { handle: made.privateKey, publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }) }
}

async function makesPair(session: Session, modulusBits: ModulusBits): Promise<string> {
  const started = performance.now()
  await pairOf(session, modulusBits)
  return `a pair in ${Math.round(performance.now() - started)} ms`
}
