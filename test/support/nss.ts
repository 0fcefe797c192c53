/**
 * NSS's token in software (libnss3, which browsers use), as a second token of another maker than SoftHSM's: it does AES key wrap and OAEP with SHA-256 by itself. Its database
 * is a folder that it is told of when it is initialised, in a member of CK_C_INITIALIZE_ARGS of its own.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CKF } from '../../src/boundary/pkcs11/constants.ts'
import { type Cryptoki, loadCryptoki } from '../../src/boundary/pkcs11/cryptoki.ts'
import { addressOf, functionAt, openLibrary, pointersAt } from '../../src/boundary/pkcs11/koffi.ts'

const MODULES = [
  '/usr/lib/x86_64-linux-gnu/libsoftokn3.so',
  '/usr/lib/aarch64-linux-gnu/libsoftokn3.so',
  '/usr/lib64/libsoftokn3.so',
]
/** The slot of the database. */
export const NSS_SLOT = 2
const CKU_SO = 0
const C_INIT_PIN = 10

export class NssToken {
  readonly folder = mkdtempSync(join(tmpdir(), 'holdfast-nss-'))
  readonly module: string
  readonly #parameters: Buffer
  readonly #arguments = Buffer.alloc(56)

  constructor(pin: string) {
    const module = MODULES.find(existsSync)
    if (module === undefined) throw new Error('NSS is not installed: install the package libnss3')
    this.module = module
    const where = `configdir='sql:${this.folder}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=`
    this.#parameters = Buffer.from(`${where}\0`)
    this.#arguments.writeUInt32LE(CKF.OS_LOCKING_OK, 32)
    this.#arguments.writeBigUInt64LE(addressOf(this.#parameters), 40)
    this.#setPin(pin)
  }

  /** The module, initialised with this database. */
  load(path: string, load = loadCryptoki): Cryptoki {
    const functions = load(path)
    const initialize = () => functions.C_Initialize(addressOf(this.#arguments))
    return { ...functions, C_Initialize: Object.assign(initialize, { async: functions.C_Initialize.async }) }
  }

  #setPin(text: string): void {
    const functions = this.load(this.module)
    const [out, handle, pin] = [Buffer.alloc(8), Buffer.alloc(8), Buffer.from(text)]
    const must = (rv: number, call: string): void => {
      if (rv !== 0) throw new Error(`${call} of NSS answered 0x${rv.toString(16)}`)
    }
    must(functions.C_Initialize(null), 'C_Initialize')
    openLibrary(this.module).func('unsigned long C_GetFunctionList(void *list)')(addressOf(out))
    const pointer = pointersAt(out.readBigUInt64LE() + 8n, C_INIT_PIN + 1)[C_INIT_PIN] as bigint
    const initPin = functionAt(
      pointer,
      'unsigned long C_InitPIN(unsigned long session, void *pin, unsigned long length)',
    )
    const flags = CKF.SERIAL_SESSION | CKF.RW_SESSION
    must(functions.C_OpenSession(NSS_SLOT, flags, null, null, addressOf(handle)), 'C_OpenSession')
    const session = handle.readBigUInt64LE()
    must(functions.C_Login(session, CKU_SO, addressOf(Buffer.alloc(1)), 0), 'C_Login')
    must(initPin(session, addressOf(pin), pin.length), 'C_InitPIN')
    must(functions.C_Finalize(null), 'C_Finalize')
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
