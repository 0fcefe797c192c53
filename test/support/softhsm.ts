/**
 * SoftHSM tokens of the tests' own, in folders of their own, and objects in them with values and attributes that only a test would want.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CKA, CKF, CKU_USER } from '../../src/boundary/pkcs11/constants.ts'
import { initializeArguments, loadCryptoki } from '../../src/boundary/pkcs11/cryptoki.ts'
import { addressOf } from '../../src/boundary/pkcs11/koffi.ts'
import { AES_KEY, type Attribute, attributeBoolean } from '../../src/boundary/pkcs11/session.ts'

const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
]

/** Path of SoftHSM's module. Throws a sentence that names the package where it is not installed. */
export function softhsmModule(): string {
  const found = MODULES.find(existsSync)
  if (found === undefined)
    throw new Error('SoftHSM is not installed: install the package softhsm2 (apt-get install softhsm2)')
  return found
}

/** What is put into the token next to the value of an imported key. */
export interface ObjectUsage {
  readonly encrypt?: boolean
  readonly decrypt?: boolean
  readonly sensitive?: boolean
  readonly extractable?: boolean
}

export interface Removable {
  take(): void
  putBack(): void
}

/** One SoftHSM configuration with its token folder. While it is in use, SOFTHSM2_CONF of this process names it. */
export class SoftHsm {
  readonly folder: string
  readonly tokens: string
  readonly configuration: string
  readonly module: string
  /** Of each token, by its label. */
  readonly #folders = new Map<string, string>()

  constructor() {
    this.module = softhsmModule()
    this.folder = mkdtempSync(join(tmpdir(), 'holdfast-softhsm-'))
    this.tokens = join(this.folder, 'tokens')
    this.configuration = join(this.folder, 'softhsm2.conf')
    mkdirSync(this.tokens)
    writeFileSync(
      this.configuration,
      `directories.tokendir = ${this.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
    )
  }

  /** Makes this configuration the one that the module reads when it is initialised next. */
  use(): this {
    process.env.SOFTHSM2_CONF = this.configuration
    return this
  }

  addToken(label: string, pin: string): this {
    const args = ['--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', '87654321']
    const before = new Set(readdirSync(this.tokens))
    execFileSync('softhsm2-util', args, { env: { ...process.env, SOFTHSM2_CONF: this.configuration }, stdio: 'pipe' })
    for (const name of readdirSync(this.tokens)) if (!before.has(name)) this.#folders.set(label, name)
    return this
  }

  /** All tokens, or the one of this label, as something that can be taken away and put back. */
  removable(label?: string): Removable {
    const place = label === undefined ? this.tokens : join(this.tokens, this.#folders.get(label) ?? '')
    const away = join(this.folder, 'away')
    return {
      take: () => {
        renameSync(place, away)
        if (label === undefined) mkdirSync(place)
      },
      putBack: () => {
        if (label === undefined) rmSync(place, { recursive: true })
        renameSync(away, place)
      },
    }
  }

  /** OpenSC's tool on the token of this label, logged in; what it prints. */
  pkcs11Tool(label: string, pin: string, ...args: string[]): string {
    const login = ['--module', this.module, '--token-label', label, '--login', '--pin', pin]
    const env = { ...process.env, SOFTHSM2_CONF: this.configuration }
    return execFileSync('pkcs11-tool', [...login, ...args], { env, stdio: 'pipe', encoding: 'utf8' })
  }

  /** Puts an AES key of a known value into the only initialised token. Not while a token object has the module open. */
  importKey(pin: string, label: string, id: Buffer, value: Buffer, usage: ObjectUsage = {}): void {
    this.use()
    const { encrypt = true, decrypt = true, sensitive = true, extractable = false } = usage
    this.#loggedIn(pin, (functions, session) => {
      const attributes: readonly Attribute[] = [
        ...AES_KEY,
        [CKA.PRIVATE, attributeBoolean(true)],
        [CKA.SENSITIVE, attributeBoolean(sensitive)],
        [CKA.EXTRACTABLE, attributeBoolean(extractable)],
        [CKA.ENCRYPT, attributeBoolean(encrypt)],
        [CKA.DECRYPT, attributeBoolean(decrypt)],
        [CKA.LABEL, Buffer.from(label)],
        [CKA.ID, id],
        [CKA.VALUE, value],
      ]
      const [object, keep] = [Buffer.alloc(8), attributes.map(([, bytes]) => Buffer.from(bytes))]
      const template = Buffer.alloc(attributes.length * 24)
      attributes.forEach(([type], index) => {
        const bytes = keep[index] as Buffer
        template.writeUInt32LE(type, index * 24)
        template.writeBigUInt64LE(addressOf(bytes), index * 24 + 8)
        template.writeUInt32LE(bytes.length, index * 24 + 16)
      })
      must(
        functions.C_CreateObject(session, addressOf(template), attributes.length, addressOf(object)),
        'C_CreateObject',
      )
      if (keep.length !== attributes.length) throw new Error('the values must outlive the call')
    })
  }

  #loggedIn(pin: string, work: (functions: ReturnType<typeof loadCryptoki>, session: bigint) => void): void {
    const functions = loadCryptoki(this.module)
    const args = initializeArguments()
    must(functions.C_Initialize(addressOf(args)), 'C_Initialize')
    try {
      const [slots, count, handle, bytes] = [Buffer.alloc(64), Buffer.alloc(8), Buffer.alloc(8), Buffer.from(pin)]
      count.writeUInt32LE(8)
      must(functions.C_GetSlotList(1, addressOf(slots), addressOf(count)), 'C_GetSlotList')
      const slot = slots.readBigUInt64LE()
      const flags = CKF.SERIAL_SESSION | CKF.RW_SESSION
      must(functions.C_OpenSession(slot, flags, null, null, addressOf(handle)), 'C_OpenSession')
      const session = handle.readBigUInt64LE()
      must(functions.C_Login(session, CKU_USER, addressOf(bytes), bytes.length), 'C_Login')
      work(functions, session)
    } finally {
      functions.C_Finalize(null)
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function must(rv: number, call: string): void {
  if (rv !== 0) throw new Error(`${call} answered 0x${rv.toString(16)}`)
}
