/**
 * A PKCS#11 v2.40 module as typed functions: C_GetFunctionList, then the members that we use, in both their forms.
 * CK_ULONG is 8 bytes here (LP64); the structures are laid out by hand in `session.ts` and below.
 */

import { CKF, CKR, ckrName } from './constants.ts'
import { addressOf, type Callable, functionAt, openLibrary, pointersAt } from './koffi.ts'
import { TokenError } from './types.ts'

/** Place in CK_FUNCTION_LIST (after the version) and prototype of each function that we call. `a` addresses are `void *`. */
const FUNCTIONS = {
  C_Initialize: [0, 'void *args'],
  C_Finalize: [1, 'void *reserved'],
  C_GetInfo: [2, 'void *info'],
  C_GetSlotList: [4, 'unsigned char present, void *list, void *count'],
  C_GetTokenInfo: [6, 'unsigned long slot, void *info'],
  C_GetMechanismList: [7, 'unsigned long slot, void *list, void *count'],
  C_GetMechanismInfo: [8, 'unsigned long slot, unsigned long type, void *info'],
  C_OpenSession: [12, 'unsigned long slot, unsigned long flags, void *app, void *notify, void *session'],
  C_CloseSession: [13, 'unsigned long session'],
  C_CloseAllSessions: [14, 'unsigned long slot'],
  C_Login: [18, 'unsigned long session, unsigned long user, void *pin, unsigned long length'],
  C_CreateObject: [20, 'unsigned long session, void *template, unsigned long count, void *object'],
  C_DestroyObject: [22, 'unsigned long session, unsigned long object'],
  C_GetAttributeValue: [24, 'unsigned long session, unsigned long object, void *template, unsigned long count'],
  C_FindObjectsInit: [26, 'unsigned long session, void *template, unsigned long count'],
  C_FindObjects: [27, 'unsigned long session, void *objects, unsigned long max, void *count'],
  C_FindObjectsFinal: [28, 'unsigned long session'],
  C_EncryptInit: [29, 'unsigned long session, void *mechanism, unsigned long key'],
  C_Encrypt: [30, 'unsigned long session, void *in, unsigned long length, void *out, void *outLength'],
  C_EncryptUpdate: [31, 'unsigned long session, void *in, unsigned long length, void *out, void *outLength'],
  C_EncryptFinal: [32, 'unsigned long session, void *out, void *outLength'],
  C_DecryptInit: [33, 'unsigned long session, void *mechanism, unsigned long key'],
  C_Decrypt: [34, 'unsigned long session, void *in, unsigned long length, void *out, void *outLength'],
  C_DecryptUpdate: [35, 'unsigned long session, void *in, unsigned long length, void *out, void *outLength'],
  C_DecryptFinal: [36, 'unsigned long session, void *out, void *outLength'],
  C_GenerateKey: [58, 'unsigned long session, void *mechanism, void *template, unsigned long count, void *key'],
  C_GenerateKeyPair: [
    59,
    'unsigned long session, void *mechanism, void *publicTemplate, unsigned long publicCount, void *privateTemplate, unsigned long privateCount, void *publicKey, void *privateKey',
  ],
  C_GenerateRandom: [64, 'unsigned long session, void *data, unsigned long length'],
} as const satisfies Record<string, readonly [number, string]>

export type FunctionName = keyof typeof FUNCTIONS

export type Cryptoki = { readonly [name in FunctionName]: Callable }

/** Members of CK_FUNCTION_LIST of v2.40, all of which are there in every later 2.x and in the 2.40 list of a 3.x module. */
const MEMBERS = 68

/** Loads a module. Throws `TokenError` ModuleUnusable. Nothing is initialised yet. */
export function loadCryptoki(path: string): Cryptoki {
  if (process.platform === 'win32') throw new TokenError('ModuleUnusable', 'PKCS#11 is not supported on Windows')
  let list: bigint
  try {
    const out = Buffer.alloc(8)
    const rv = openLibrary(path).func('unsigned long C_GetFunctionList(void *list)')(addressOf(out))
    if (rv !== CKR.OK) throw new Error(`C_GetFunctionList answered ${ckrName(rv)}`)
    list = out.readBigUInt64LE()
  } catch (error) {
    throw new TokenError(
      'ModuleUnusable',
      `${path} is not a PKCS#11 module that loads here: ${(error as Error).message}`,
    )
  }
  // CK_VERSION is two bytes in a slot of eight.
  const pointers = pointersAt(list + 8n, MEMBERS)
  const functions = {} as Record<FunctionName, Callable>
  for (const [name, [index, parameters]] of Object.entries(FUNCTIONS)) {
    const pointer = pointers[index] ?? 0n
    if (pointer === 0n) throw new TokenError('ModuleUnusable', `${path} has no ${name}`)
    functions[name as FunctionName] = functionAt(pointer, `unsigned long ${name}(${parameters})`)
  }
  return functions
}

/** CK_C_INITIALIZE_ARGS: four callbacks (none), flags, reserved. Without CKF_OS_LOCKING_OK, calls on several threads hang. */
export function initializeArguments(): Buffer {
  const args = Buffer.alloc(48)
  args.writeUInt32LE(CKF.OS_LOCKING_OK, 32)
  return args
}

function text(buffer: Buffer, start: number, length: number): string {
  return buffer
    .toString('utf8', start, start + length)
    .replace(/\0.*$/s, '')
    .trimEnd()
}

export const INFO_BYTES = 88
/** CK_INFO: version (2), manufacturer (32), flags, description (32), version (2). */
export function readInfo(info: Buffer): { readonly manufacturer: string; readonly library: string } {
  const manufacturer = text(info, 2, 32)
  const version = `${info.readUInt8(80)}.${info.readUInt8(81)}`
  return { manufacturer, library: `${text(info, 48, 32)} ${version}` }
}

export interface TokenInfo {
  readonly label: string
  readonly manufacturer: string
  readonly model: string
  readonly serial: string
  readonly flags: number
  /** Sessions that the token allows; 0 where it does not say or has no bound. */
  readonly maxSessions: number
}

export const TOKEN_INFO_BYTES = 208
const UNAVAILABLE = 0xffff_ffff_ffff_ffffn

/** CK_TOKEN_INFO: label (32), manufacturer (32), model (16), serial (16), flags, maximum of sessions … */
export function readTokenInfo(info: Buffer): TokenInfo {
  const max = info.readBigUInt64LE(104)
  return {
    label: text(info, 0, 32),
    manufacturer: text(info, 32, 32),
    model: text(info, 64, 16),
    serial: text(info, 80, 16),
    flags: info.readUInt32LE(96),
    maxSessions: max === UNAVAILABLE ? 0 : Number(max),
  }
}
