/** Which mechanisms a token names, as it describes them: for people. What it does is tried (probe.ts). */
import { CKF, CKM, CKR } from './constants.ts'
import { tokenError } from './errors.ts'
import { addressOf } from './koffi.ts'
import type { Module } from './module.ts'

export interface MechanismInfo {
  /** `CKM_…` where this room has a name for it; else its number. */
  readonly name: string
  readonly code: number
  /** In bits or bytes, as the mechanism has it. */
  readonly minKey: number
  readonly maxKey: number
  readonly flags: readonly string[]
}

const NAMES = new Map<number, string>(Object.entries(CKM).map(([name, code]) => [code, `CKM_${name}`]))
const MAX_MECHANISMS = 4096
const INFO_BYTES = 24
const FLAGS = {
  hardware: CKF.HW,
  encrypt: CKF.ENCRYPT,
  decrypt: CKF.DECRYPT,
  generate: CKF.GENERATE,
  'generate-pair': CKF.GENERATE_KEY_PAIR,
  wrap: CKF.WRAP,
  unwrap: CKF.UNWRAP,
} as const

/** In rising order of their codes. */
export async function mechanismsOf(module: Module, slot: bigint): Promise<readonly MechanismInfo[]> {
  const count = Buffer.alloc(8)
  const list = Buffer.alloc(MAX_MECHANISMS * 8)
  count.writeUInt32LE(MAX_MECHANISMS)
  const rv = await module.call('C_GetMechanismList', slot, addressOf(list), addressOf(count))
  if (rv !== CKR.OK) throw tokenError('C_GetMechanismList', rv)
  const codes = Array.from({ length: count.readUInt32LE() }, (_, at) => list.readUInt32LE(at * 8))
  const found: MechanismInfo[] = []
  for (const code of codes.sort((a, b) => a - b)) {
    const info = Buffer.alloc(INFO_BYTES)
    if ((await module.call('C_GetMechanismInfo', slot, code, addressOf(info))) !== CKR.OK) continue
    const flags = info.readUInt32LE(16)
    found.push({
      name: NAMES.get(code) ?? `0x${code.toString(16)}`,
      code,
      minKey: info.readUInt32LE(0),
      maxKey: info.readUInt32LE(8),
      flags: Object.entries(FLAGS).flatMap(([name, bit]) => ((flags & bit) === 0 ? [] : [name])),
    })
  }
  return found
}
