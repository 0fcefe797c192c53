/** Opening, or making, the root of trust that is to be in force from a rotation on. */
import fs from 'node:fs'
import path from 'node:path'
import type { NewTrust } from '../../client/root.ts'
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

async function inToken(
  {
    module,
    token: name,
    pin,
    rootLabel,
    sessions,
    deadlineMs,
    calls,
    capabilities,
  }: (NewTrust & { kind: 'pkcs11' })['token'],
  onChange: (status: TokenStatus) => void,
): Promise<OpenedTrust> {
  const { tokenMakesIv, zeroIvRequired, invalidCiphertext } = capabilities ?? {}
  const token = await openToken({
    module,
    token: name,
    pin: readPin(pin),
    onChange,
    ...(sessions === undefined ? {} : { sessions }),
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
