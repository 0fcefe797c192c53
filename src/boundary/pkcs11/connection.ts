/**
 * Finding a token, holding it open and logging in to it: once at the start, and once each time it has come back. The session that is held here is never
 * used for work, so that dropping working sessions never ends the login (which ends with an application's last session).
 */
import type { Secret } from '../root/types.ts'
import { CKF, CKR, CKU_USER, ckrName } from './constants.ts'
import { readTokenInfo, TOKEN_INFO_BYTES, type TokenInfo } from './cryptoki.ts'
import { isPinRefusal, tokenError } from './errors.ts'
import { addressOf } from './koffi.ts'
import type { Module } from './module.ts'
import type { SlotOwner } from './reinitialization.ts'
import { Session } from './session.ts'
import { TokenError, type TokenOptions } from './types.ts'

const MAX_SLOTS = 1024

/** Of which generation of a link a session is, and whether that is still the one. */
export interface Validity {
  readonly generation: number
  readonly valid: () => boolean
}

export interface Connection {
  readonly slot: bigint
  readonly info: TokenInfo
  /** Holds the login. */
  readonly keeper: Session
}

async function tokenInfo(module: Module, slot: bigint): Promise<TokenInfo | number> {
  const buffer = Buffer.alloc(TOKEN_INFO_BYTES)
  const rv = await module.call('C_GetTokenInfo', slot, addressOf(buffer))
  return rv === CKR.OK ? readTokenInfo(buffer) : rv
}

async function slotsWithToken(module: Module): Promise<readonly bigint[]> {
  const count = Buffer.alloc(8)
  const list = Buffer.alloc(MAX_SLOTS * 8)
  count.writeUInt32LE(MAX_SLOTS)
  const rv = await module.call('C_GetSlotList', 1, addressOf(list), addressOf(count))
  if (rv !== CKR.OK) throw tokenError('C_GetSlotList', rv)
  return Array.from({ length: count.readUInt32LE() }, (_, index) => list.readBigUInt64LE(index * 8))
}

async function findToken(module: Module, wanted: TokenOptions['token']): Promise<{ slot: bigint; info: TokenInfo }> {
  const found: { slot: bigint; info: TokenInfo }[] = []
  const seen: string[] = []
  for (const slot of await slotsWithToken(module)) {
    const info = await tokenInfo(module, slot)
    if (typeof info === 'number') continue
    seen.push(`"${info.label}" in slot ${slot}`)
    if ('slot' in wanted ? slot === BigInt(wanted.slot) : info.label === wanted.label) found.push({ slot, info })
  }
  const name = 'slot' in wanted ? `in slot ${wanted.slot}` : `with the label "${wanted.label}"`
  const [first, second] = found
  if (first === undefined) {
    const others = seen.length === 0 ? 'no token at all' : seen.slice(0, 8).join(', ')
    throw new TokenError('TokenNotFound', `${module.path} shows no token ${name}; it shows ${others}`)
  }
  if (second !== undefined) {
    throw new TokenError('Misconfigured', `${module.path} shows several tokens ${name}: name one by its slot`)
  }
  return first
}

/** C_OpenSession for reading and writing (keys are generated through it). */
export async function openSession(
  module: Module,
  slot: bigint,
  { generation, valid }: Validity,
  aside = false,
): Promise<Session> {
  const handle = Buffer.alloc(8)
  const flags = CKF.SERIAL_SESSION | CKF.RW_SESSION
  const rv = await module.call('C_OpenSession', slot, flags, null, null, addressOf(handle))
  if (rv !== CKR.OK) throw tokenError('C_OpenSession', rv)
  return new Session(module, handle.readBigUInt64LE(), generation, { valid, aside })
}

/** As `openSession`, without leaving the tick: for modules that are called synchronously. */
export function openSessionNow(module: Module, slot: bigint, { generation, valid }: Validity): Session {
  const handle = Buffer.alloc(8)
  const flags = CKF.SERIAL_SESSION | CKF.RW_SESSION
  const rv = module.call('C_OpenSession', slot, flags, null, null, addressOf(handle)) as number
  if (rv !== CKR.OK) throw tokenError('C_OpenSession', rv)
  return new Session(module, handle.readBigUInt64LE(), generation, { valid, aside: false })
}

/**
 * One C_Login, and no second one with a PIN that was refused. A token that has one try left is not tried at all: a service that is started again and
 * again with a wrong PIN would lock it.
 */
async function login(keeper: Session, info: TokenInfo, pin: Secret, onLogin: () => void): Promise<void> {
  if ((info.flags & CKF.USER_PIN_LOCKED) !== 0) {
    throw new TokenError('PinIncorrect', `the PIN of token "${info.label}" is locked; unlock it with the vendor's tool`)
  }
  if ((info.flags & CKF.USER_PIN_FINAL_TRY) !== 0) {
    throw new TokenError(
      'PinIncorrect',
      `token "${info.label}" allows one more try of its PIN: log in once with the vendor's tool, then start again`,
    )
  }
  onLogin()
  const rv = await pin.use(bytes => keeper.login(CKU_USER, bytes))
  if (rv === CKR.OK || rv === CKR.USER_ALREADY_LOGGED_IN) return
  if (isPinRefusal(rv)) {
    throw new TokenError(
      'PinIncorrect',
      `token "${info.label}" refused the PIN: C_Login answered ${ckrName(rv)}; it is not tried again`,
      rv,
    )
  }
  throw tokenError('C_Login', rv)
}

export interface Connecting extends Validity {
  readonly module: Module
  readonly wanted: TokenOptions['token']
  readonly pin: Secret
  /** Called before C_Login. */
  readonly onLogin: () => void
  /** Whose the slot is to be. */
  readonly link: SlotOwner
}

/** Finds the token, opens the session that holds the login, and logs in once. The slot is the link's then. */
export async function connect({ module, wanted, pin, onLogin, link, ...validity }: Connecting): Promise<Connection> {
  const { slot, info } = await findToken(module, wanted)
  module.claim(slot, link)
  try {
    // Whatever an earlier generation left open would keep a place in the token, and a login that may be half gone.
    await module.call('C_CloseAllSessions', slot)
    const keeper = await openSession(module, slot, validity)
    await login(keeper, info, pin, onLogin)
    return { slot, info, keeper }
  } catch (error) {
    module.release(slot, link)
    throw error
  }
}

/** True while the token that was found is there and our session on it is logged in. */
export async function present(module: Module, connection: Connection): Promise<boolean> {
  const info = await tokenInfo(module, connection.slot)
  return typeof info !== 'number' && info.serial === connection.info.serial && info.label === connection.info.label
}
