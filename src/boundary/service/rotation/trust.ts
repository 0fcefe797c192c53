/** Opening, or making, the root of trust that is to be in force from a rotation on. */
import fs from 'node:fs'
import path from 'node:path'
import type { NewTokenTrust, NewTrust } from '../../client/root.ts'
import { readKeyHeader } from '../../crypto/sealed.ts'
import { readPin } from '../../pkcs11/pin.ts'
import { createTokenRoot, objectIdOf } from '../../pkcs11/root.ts'
import { openToken } from '../../pkcs11/token.ts'
import { type Token, TokenError, type TokenStatus } from '../../pkcs11/types.ts'
import { createKeyFile, openKeyFile } from '../../root/keyfile.ts'
import { newPassphraseRoot } from '../../root/passphrase.ts'
import { RootError, type RootOfTrust } from '../../root/types.ts'
import { BoundaryError } from '../../words.ts'
import type { Core } from '../core.ts'
import { readPlace } from '../keys/place.ts'

export interface OpenedTrust {
  readonly trust: RootOfTrust
  /** That the root of trust is in. */
  readonly token: Token | undefined
  /** CKA_ID (hex) of its object; empty where there is none. */
  readonly rootObjectId: string
}

/** Throws `BoundaryError` InvalidRequest or TokenUnavailable with what the operator must change. */
export async function openTrust(wanted: NewTrust, onToken: (status: TokenStatus) => void): Promise<OpenedTrust> {
  try {
    if (wanted.kind === 'pkcs11') return await inToken(wanted.token, onToken)
    const trust =
      wanted.kind === 'keyfile' ? await keyFile(wanted.file) : await newPassphraseRoot(Buffer.from(wanted.passphrase))
    return { trust, token: undefined, rootObjectId: '' }
  } catch (error) {
    throw inOperatorsWords(error)
  } finally {
    if (wanted.kind === 'passphrase') wanted.passphrase.fill(0)
  }
}

/** What a root of trust was refused with, in the boundary's words. */
export function inOperatorsWords(error: unknown): unknown {
  if (error instanceof RootError) return new BoundaryError('InvalidRequest', error.message)
  if (error instanceof TokenError) return new BoundaryError('TokenUnavailable', error.message)
  return error
}

async function keyFile(file: string): Promise<RootOfTrust> {
  if (!path.isAbsolute(file)) throw new BoundaryError('InvalidRequest', 'a key file is named by its whole path')
  if (!fs.existsSync(file)) await createKeyFile(file)
  return openKeyFile(file)
}

/** What the start of this process has used up, or what would change another program than the token's module. */
const FOREIGN = /^(?:NODE_|LD_|UV_|PATH$|HOME$)/
const VARIABLE = /^[A-Z_a-z][A-Z_a-z0-9]*$/

/** A boundary that was started without a token has none of the environment but what it needs itself. */
function takeEnvironment(variables: NewTokenTrust['environment']): void {
  for (const { name, value } of variables) {
    if (!VARIABLE.test(name) || FOREIGN.test(name))
      throw new BoundaryError('InvalidRequest', `${name} is not a variable of a token's module`)
    process.env[name] ??= value
  }
}

async function inToken(wanted: NewTokenTrust, onChange: (status: TokenStatus) => void): Promise<OpenedTrust> {
  const { module, token: name, pin, rootLabel, environment, deadlineMs, calls, capabilities } = wanted
  const { tokenMakesIv, zeroIvRequired, invalidCiphertext } = capabilities ?? {}
  takeEnvironment(environment)
  const token = await openToken({
    module,
    token: name,
    pin: readPin(pin),
    onChange,
    // As many as the threads of a process allow that was started without it; the next start has as many as the configuration says.
    sessions: 1,
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(calls === undefined ? {} : { calls }),
    capabilities: {
      ...(tokenMakesIv === undefined ? {} : { tokenMakesIv }),
      ...(zeroIvRequired === undefined ? {} : { zeroIvRequired }),
      ...(invalidCiphertext === undefined ? {} : { invalidCiphertext }),
    },
  })
  try {
    const trust = await createTokenRoot(token, rootLabel)
    return { trust, token, rootObjectId: objectIdOf(trust) }
  } catch (error) {
    await token.close()
    throw error
  }
}

/**
 * Throws InvalidState where a key of the owner lies in the token of the root of trust and names no token: it is found in whatever token that is, so another
 * root of trust would take it away.
 */
export async function leavesNoKeyBehind(core: Core): Promise<void> {
  if (!core.tokens.has('')) return
  for (const id of core.book.list('key', '', Number.POSITIVE_INFINITY)) {
    const row = await core.book.read('key', id)
    if (row?.body == null) continue
    const { backing, origin, materials } = readKeyHeader(row.body)
    if (backing !== 'TOKEN' || origin !== 'OWNER') continue
    if (materials.some(({ description }) => readPlace(description).token === ''))
      throw new BoundaryError(
        'InvalidState',
        `the key ${id} lies in the token of the root of trust, which its place does not name: make its next version in a token that the configuration names (boundary.tokens), or keep this root of trust`,
      )
  }
}
