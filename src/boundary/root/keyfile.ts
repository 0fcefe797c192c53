/**
 * The key file as root of trust: one line of text, readable by its owner alone. See docs/formats/root.md, "Key file".
 */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { link, open, rm, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { UnknownVersion } from '../bytes.ts'
import { RootError, type RootOfTrust } from './types.ts'
import { unwrapWith, wrapWith } from './wrap.ts'

const VERSION = 1
const LINE = /^holdfast-root-(\d{1,6}) ([^\n]*)\n?$/
const KEY = /^[A-Za-z0-9_-]{43}$/
const MAX_FILE_BYTES = 128

/**
 * Makes a key file that did not exist, mode 0600, durable when this resolves: whole under another name first, so that one under its own name is never half
 * written. Throws `RootError` Refused where something is already there.
 */
export async function createKeyFile(path: string): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const refused = (error: NodeJS.ErrnoException): never => {
    const why = error.code === 'EEXIST' ? 'something of that name is already there' : (error.code ?? error.message)
    throw new RootError('Refused', `cannot make the root key file ${path}: ${why}`)
  }
  const temporary = `${path}.new`
  // Of a start that was killed here: nothing was ever sealed under it.
  await rm(temporary, { force: true }).catch(refused)
  const file = await open(temporary, flags, 0o600).catch(refused)
  const key = randomBytes(32)
  try {
    await file.writeFile(`holdfast-root-1 ${key.toString('base64url')}\n`)
    await file.sync()
  } finally {
    key.fill(0)
    await file.close()
  }
  // Unlike a rename it replaces nothing.
  await link(temporary, path).catch(refused)
  await unlink(temporary)
  const directory = await open(dirname(path), constants.O_RDONLY)
  await directory.sync().finally(() => directory.close())
}

/**
 * Opens a key file. Throws `RootError` Refused where it is not a regular file, belongs to another user than this process' or root, is open to others
 * (the message says `chmod 600 FILE`), or is no key file.
 */
export async function openKeyFile(path: string): Promise<RootOfTrust> {
  const key = await readKey(path)
  return {
    kind: 'keyfile',
    parameters: Buffer.alloc(0),
    wrap: async secret => wrapWith(key, secret),
    unwrap: async wrapped =>
      unwrapWith(
        key,
        wrapped,
        'WrongRoot',
        `the key in ${path} is not the one that this boundary was made with: give the right key file`,
      ),
  }
}

async function readKey(path: string): Promise<KeyObject> {
  const refused = (why: string): RootError => new RootError('Refused', `the root key file ${path} ${why}`)
  // Without O_NONBLOCK, opening a pipe that somebody put there would hang the start.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    throw refused(error.code === 'ENOENT' ? 'does not exist' : `cannot be opened: ${error.code ?? error.message}`)
  })
  try {
    // Checked on the open file, not on its name: the name may point elsewhere a moment later.
    const status = await file.stat()
    if (!status.isFile()) throw refused('is not a regular file')
    const me = process.geteuid?.() ?? status.uid
    if (status.uid !== me && status.uid !== 0)
      throw refused(`belongs to user ${status.uid}, not to the user of this process. Run: chown ${me} ${path}`)
    if ((status.mode & 0o077) !== 0)
      throw refused(`can be read by others (mode ${(status.mode & 0o777).toString(8)}). Run: chmod 600 ${path}`)
    if (status.size > MAX_FILE_BYTES) throw refused('is no root key file')
    const bytes = await file.readFile()
    const [, version = '0', encoded = ''] = LINE.exec(bytes.toString('latin1')) ?? []
    bytes.fill(0)
    if (Number(version) > VERSION)
      throw new RootError('Refused', new UnknownVersion(`the root key file ${path}`, Number(version), VERSION).message)
    const key = Number(version) === VERSION && KEY.test(encoded) ? Buffer.from(encoded, 'base64url') : undefined
    if (key?.length !== 32)
      throw refused('is no root key file: it is one line, "holdfast-root-1" and 43 characters of base64url')
    const secret = createSecretKey(key)
    key.fill(0)
    return secret
  } finally {
    await file.close()
  }
}
