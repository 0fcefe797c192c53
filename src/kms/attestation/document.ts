/**
 * The attestation document: its fields, each with the type and the bounds that AWS's specification gives it ("Nitro Enclaves Attestation Process", §2.2 and
 * §3.2.2; "Validate a NitroTPM Attestation Document" of the EC2 User Guide, which differs in the name of the registers only).
 */
import type { CborMap, CborValue } from './cbor.ts'
import { cbor } from './cose.ts'
import { AttestationError } from './refusal.ts'

/** Whose document it is: an enclave's (`pcrs`), or an instance's with a NitroTPM (`nitrotpm_pcrs`). */
export type AttestedKind = 'enclave' | 'nitro-tpm'

export interface AttestationDocument {
  readonly kind: AttestedKind
  readonly moduleId: string
  /** Milliseconds since 1970. */
  readonly timestamp: number
  /** Platform configuration registers by their index, 0 to 31; each of 32, 48 or 64 bytes. */
  readonly pcrs: ReadonlyMap<number, Buffer>
  /** DER. */
  readonly certificate: Buffer
  /** DER; the root first. */
  readonly cabundle: readonly Buffer[]
  readonly publicKey: Buffer | undefined
  readonly userData: Buffer | undefined
  readonly nonce: Buffer | undefined
}

const REGISTERS: Readonly<Record<string, AttestedKind>> = { pcrs: 'enclave', nitrotpm_pcrs: 'nitro-tpm' }
const FIELDS: ReadonlySet<number | string> = new Set([
  'module_id',
  'digest',
  'timestamp',
  ...Object.keys(REGISTERS),
  'certificate',
  'cabundle',
  'public_key',
  'user_data',
  'nonce',
])
const MAX_MODULE_ID = 256
const MAX_REGISTERS = 32
const REGISTER_BYTES: ReadonlySet<number> = new Set([32, 48, 64])
const MAX_CERTIFICATE = 1024
/** The specification has no bound; documents have four. */
const MAX_CABUNDLE = 8
const MAX_PUBLIC_KEY = 1024
/** §2.2. The rules of §3.2.2 say 512, and the Nitro Secure Module signs 1024. */
const MAX_USER_DATA = 1024

/** Reads the payload of a signed document. Throws AttestationError where a field is missing, unknown, of another type or out of bounds. */
export function readDocument(payload: Buffer): AttestationDocument {
  const fields = cbor(payload)
  if (!(fields instanceof Map)) throw new AttestationError('is not a map of fields')
  for (const name of fields.keys()) if (!FIELDS.has(name)) throw new AttestationError('has a field that is not known')
  const named = Object.keys(REGISTERS).filter(name => fields.has(name))
  const [registers] = named
  if (registers === undefined || named.length > 1) throw new AttestationError('must have one of pcrs and nitrotpm_pcrs')
  const moduleId = fields.get('module_id')
  if (typeof moduleId !== 'string' || moduleId === '' || moduleId.length > MAX_MODULE_ID)
    throw wrong('module_id', `text of 1 to ${MAX_MODULE_ID} characters`)
  if (fields.get('digest') !== 'SHA384') throw wrong('digest', 'SHA384')
  const timestamp = fields.get('timestamp')
  if (typeof timestamp !== 'number' || timestamp <= 0) throw wrong('timestamp', 'a number above 0')
  return {
    kind: REGISTERS[registers] ?? 'enclave',
    moduleId,
    timestamp,
    pcrs: readRegisters(registers, fields.get(registers)),
    certificate: bytes('certificate', fields.get('certificate'), 1, MAX_CERTIFICATE),
    cabundle: readCabundle(fields.get('cabundle')),
    publicKey: optional(fields, 'public_key', 1, MAX_PUBLIC_KEY),
    userData: optional(fields, 'user_data', 0, MAX_USER_DATA),
    nonce: optional(fields, 'nonce', 0, MAX_USER_DATA),
  }
}

function readRegisters(name: string, value: CborValue | undefined): ReadonlyMap<number, Buffer> {
  if (!(value instanceof Map) || value.size < 1 || value.size > MAX_REGISTERS)
    throw wrong(name, `a map of 1 to ${MAX_REGISTERS} registers`)
  const found = new Map<number, Buffer>()
  for (const [index, register] of value as CborMap) {
    if (typeof index !== 'number' || index < 0 || index >= MAX_REGISTERS)
      throw wrong(name, `a map whose keys are 0 to ${MAX_REGISTERS - 1}`)
    if (!Buffer.isBuffer(register) || !REGISTER_BYTES.has(register.length))
      throw wrong(name, 'a map of registers of 32, 48 or 64 bytes')
    found.set(index, register)
  }
  return found
}

function readCabundle(value: CborValue | undefined): readonly Buffer[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > MAX_CABUNDLE)
    throw wrong('cabundle', `a list of 1 to ${MAX_CABUNDLE} certificates`)
  return (value as readonly CborValue[]).map(one => bytes('cabundle', one, 1, MAX_CERTIFICATE))
}

/**
 * A field that may be left out. AWS's specification says that no field is null; its Nitro Secure Module writes null for what it was not given, and so that
 * is the same as leaving it out.
 */
function optional(fields: CborMap, name: string, min: number, max: number): Buffer | undefined {
  const value = fields.get(name)
  return value === undefined || value === null ? undefined : bytes(name, value, min, max)
}

function bytes(name: string, value: CborValue | undefined, min: number, max: number): Buffer {
  if (!Buffer.isBuffer(value) || value.length < min || value.length > max)
    throw wrong(name, `a byte string of ${min} to ${max} bytes`)
  return value
}

function wrong(name: string, wanted: string): AttestationError {
  return new AttestationError(`must have a ${name} that is ${wanted}`)
}
