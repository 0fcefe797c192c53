/**
 * How a boundary is opened: its root file, and the root of trust that the configuration names. The first start makes both.
 */
import type { KeyObject } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { type BoundaryConfig, EXIT_CODES, type RootConfig } from '../config.ts'
import { readWhole, realDisk, replaceFile } from '../journal/disk.ts'
import { readPin } from '../pkcs11/pin.ts'
import { createTokenRoot, objectIdOf, openTokenRoot } from '../pkcs11/root.ts'
import { openToken } from '../pkcs11/token.ts'
import { type Token, TokenError, type TokenStatus } from '../pkcs11/types.ts'
import { createKeyFile, openKeyFile } from '../root/keyfile.ts'
import { newPassphraseRoot, openPassphraseRoot } from '../root/passphrase.ts'
import { makeRoot, type OpenedRoot, openRoot, parseRootFile, type RootFile } from '../root/rootfile.ts'
import { readParameters, sharesRoot } from '../root/shares.ts'
import { RootError, type RootOfTrust } from '../root/types.ts'
import { BoundaryError } from '../words.ts'
import type { FolderFiles } from './folder.ts'
import { StartRefused } from './lock.ts'

const MAX_ROOT_FILE = 1 << 20

/** What the folder says before anything is opened. */
export interface RootState {
  readonly bytes: Buffer | undefined
  readonly file: RootFile | undefined
}

export interface Opened {
  readonly root: OpenedRoot
  readonly token: Token | undefined
  readonly rootObjectId: string
}

const refused = (message: string) => new StartRefused(EXIT_CODES.refused, message)

/** A person must come first. */
export const startsLocked = ({ kind }: RootConfig): boolean => kind === 'passphrase' || kind === 'shares'

/** Reads the root file and compares it with the configuration. Throws `StartRefused`. */
export async function readRoot(config: BoundaryConfig, files: FolderFiles): Promise<RootState> {
  const bytes = await readWhole(realDisk, files.root, MAX_ROOT_FILE)
  if (bytes === undefined) {
    if (fs.existsSync(files.journal)) {
      throw new StartRefused(EXIT_CODES.damaged, `${files.root} is missing beside a journal: restore it from a backup`)
    }
    if (config.root.kind === 'shares') {
      throw refused(
        `${config.folder} is new, and shares are made for a boundary that is there: start it with another root of trust, for example a key file, and then make its shares: holdfast root split`,
      )
    }
    return { bytes, file: undefined }
  }
  let file: RootFile
  try {
    file = parseRootFile(bytes)
    if (file.kind === 'shares') readParameters(file.boundaryId, file.parameters)
  } catch (error) {
    throw new StartRefused(
      EXIT_CODES.damaged,
      `${files.root}: ${error instanceof Error ? error.message : 'unreadable'}`,
    )
  }
  if (file.service !== config.service)
    throw refused(`${config.folder} belongs to a ${file.service}, not to a ${config.service}`)
  if (file.dev !== config.dev) {
    throw refused(
      file.dev
        ? `${config.folder} was made with --dev, and is for development for ever: start it with --dev, or choose another folder`
        : `${config.folder} was made without --dev: start it without, or choose another folder`,
    )
  }
  if (file.kind !== config.root.kind) {
    const says =
      file.kind === 'shares'
        ? 'set boundary.root to { kind: shares }'
        : 'where holdfast root rotate has changed it, boundary.root must name the new one'
    throw refused(`the root of trust of ${config.folder} is of kind ${file.kind}, not ${config.root.kind}: ${says}`)
  }
  return { bytes, file }
}

/** Opens the root with what the configuration names. Not for the kinds that start locked. */
export async function openByConfig(
  config: BoundaryConfig,
  files: FolderFiles,
  state: RootState,
  onToken: (status: TokenStatus) => void,
): Promise<Opened> {
  const { root } = config
  if (root.kind === 'passphrase' || root.kind === 'shares') throw new BoundaryError('Locked')
  try {
    if (root.kind === 'keyfile')
      return { root: await withKeyFile(config, root.file, files, state), token: undefined, rootObjectId: '' }
    return await withToken(config, root, files, state, onToken)
  } catch (error) {
    if (error instanceof RootError) {
      throw new StartRefused(error.code === 'Damaged' ? EXIT_CODES.damaged : EXIT_CODES.refused, error.message)
    }
    if (error instanceof TokenError) throw refused(error.message)
    throw error
  }
}

/** Opens the tokens besides that of the root, all or none: a token that is missing at the start is the operator's to mend. Throws `StartRefused`. */
export async function openTokens(
  config: BoundaryConfig,
  onToken: (name: string, status: TokenStatus) => void,
): Promise<ReadonlyMap<string, Token>> {
  const open = new Map<string, Token>()
  try {
    for (const { name, pin, ...options } of config.tokens ?? []) {
      const token = await openToken({ ...options, pin: readPin(pin), onChange: status => onToken(name, status) })
      open.set(name, token)
    }
    return open
  } catch (error) {
    for (const token of open.values()) await token.close()
    if (error instanceof TokenError) throw refused(error.message)
    throw error
  }
}

async function withKeyFile(
  config: BoundaryConfig,
  keyFile: string,
  files: FolderFiles,
  state: RootState,
): Promise<OpenedRoot> {
  if (state.file === undefined && !fs.existsSync(keyFile)) await createKeyFile(keyFile)
  const trust = await openKeyFile(keyFile)
  return state.file === undefined ? first(config, files, trust) : openRoot(trust, state.file)
}

async function withToken(
  config: BoundaryConfig,
  root: RootConfig & { kind: 'pkcs11' },
  files: FolderFiles,
  state: RootState,
  onChange: (status: TokenStatus) => void,
): Promise<Opened> {
  const { module, token: name, pin, rootLabel, kind: _kind, ...options } = root
  const token = await openToken({ ...options, module, token: name, pin: readPin(pin), onChange })
  try {
    const trust =
      state.file === undefined ? await createTokenRoot(token, rootLabel) : openTokenRoot(token, state.file.parameters)
    const opened = state.file === undefined ? await first(config, files, trust) : await openRoot(trust, state.file)
    return { root: opened, token, rootObjectId: objectIdOf(trust) }
  } catch (error) {
    await token.close()
    throw error
  }
}

/** Makes the boundary: its root file, durable before anything is sealed under it. */
async function first(config: BoundaryConfig, files: FolderFiles, trust: RootOfTrust): Promise<OpenedRoot> {
  const { service, dev } = config
  const { bytes, opened } = await makeRoot(trust, { service, dev, now: Date.now() })
  await replaceFile(realDisk, files.root, bytes)
  await realDisk.syncDir(path.dirname(config.folder))
  return opened
}

/**
 * Opens with a passphrase, which is wiped; the first one is set by this. Throws `BoundaryError` WrongPassphrase, which says nothing else, or
 * InvalidRequest for a first passphrase that is too short.
 */
export async function openByPassphrase(
  config: BoundaryConfig,
  files: FolderFiles,
  state: RootState,
  passphrase: Buffer,
): Promise<Opened> {
  try {
    const root =
      state.file === undefined
        ? await first(config, files, await newPassphraseRoot(passphrase))
        : await openRoot(await openPassphraseRoot(passphrase, state.file.parameters), state.file)
    return { root, token: undefined, rootObjectId: '' }
  } catch (error) {
    if (error instanceof RootError && error.code === 'WrongPassphrase') throw new BoundaryError('WrongPassphrase')
    if (error instanceof RootError && error.code === 'Refused') throw new BoundaryError('InvalidRequest', error.message)
    throw error
  } finally {
    passphrase.fill(0)
  }
}

/** The root file of a boundary that shares open. Throws `BoundaryError` InvalidState where they do not. */
export function fileOfShares({ file }: RootState): RootFile {
  if (file?.kind !== 'shares') throw new BoundaryError('InvalidState', 'no shares open it')
  return file
}

/** Opens with the key that shares have given. Throws `BoundaryError` WrongShares, which says nothing of any one of them. */
export async function openByShares(state: RootState, key: KeyObject): Promise<Opened> {
  const file = fileOfShares(state)
  try {
    const root = await openRoot(sharesRoot(readParameters(file.boundaryId, file.parameters), key), file)
    return { root, token: undefined, rootObjectId: '' }
  } catch (error) {
    if (error instanceof RootError && error.code === 'WrongShares') {
      throw new BoundaryError('WrongShares', error.message)
    }
    throw error
  }
}
