/**
 * Backups are age files (https://age-encryption.org/v1), so that the tools of others open them too. Everybody who has a recipient can make one: what is
 * inside is trusted only as far as the signed checkpoint in it goes.
 */
import { readFileSync } from 'node:fs'
import { Decrypter, Encrypter } from 'age-encryption'
import { BackupError } from './errors.ts'

const MAX_FILE_BYTES = 1024 * 1024
const RECIPIENT = /^age1[0-9a-z]+$/
const IDENTITY = /^AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]+$/

/** Lines of a file of recipients or identities, as age has them: one each, comments with #. */
function lines(file: string, what: string): string[] {
  let text: string
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new BackupError('Refused', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  if (text.length > MAX_FILE_BYTES) throw new BackupError('Refused', `${file} is too long for a file of ${what}`)
  const found = text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && !line.startsWith('#'))
  if (found.length === 0) throw new BackupError('Refused', `${file} has no ${what}`)
  return found
}

/** For whom backups are encrypted: given ones, and those of files. Refused where there is none: a backup in the clear is not made. */
export function openRecipients(given: readonly string[], files: readonly string[]): Encrypter {
  const all = [...given, ...files.flatMap(file => lines(file, 'recipients'))]
  if (all.length === 0)
    throw new BackupError(
      'Refused',
      'a backup is encrypted, or it is not made: give --recipient age1… (age-keygen makes one; keep its identity away from this machine), or --recipients-file',
    )
  const encrypter = new Encrypter()
  for (const recipient of new Set(all)) {
    try {
      if (!RECIPIENT.test(recipient)) throw new Error('it does not begin with age1')
      encrypter.addRecipient(recipient)
    } catch (error) {
      throw new BackupError('Refused', `${recipient.slice(0, 80)} is no recipient: ${(error as Error).message}`)
    }
  }
  return encrypter
}

/** Who may open backups. What is wrong with an identity is told without it. */
export function openIdentities(files: readonly string[]): Decrypter {
  const decrypter = new Decrypter()
  for (const file of files)
    for (const [index, identity] of lines(file, 'identities').entries()) {
      try {
        if (!IDENTITY.test(identity)) throw new Error()
        decrypter.addIdentity(identity)
      } catch {
        throw new BackupError('Refused', `${file}: identity ${index + 1} is none (a line with AGE-SECRET-KEY-1…)`)
      }
    }
  return decrypter
}

export function encrypted(encrypter: Encrypter, source: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  return encrypter.encrypt(ReadableStream.from(source) as ReadableStream<Uint8Array>)
}

/** Rejects with BackupError `WrongIdentity` or `Damaged`; so does reading, where the bytes were changed or are cut short. */
export async function decrypted(
  decrypter: Decrypter,
  source: AsyncIterable<Uint8Array>,
  name: string,
): Promise<AsyncIterable<Uint8Array>> {
  const damaged = (error: unknown) =>
    new BackupError('Damaged', `${name} does not decrypt: ${(error as Error).message}; it was changed or cut short`)
  let clear: AsyncIterable<Uint8Array>
  try {
    clear = await decrypter.decrypt(ReadableStream.from(source) as ReadableStream<Uint8Array>)
  } catch (error) {
    if (error instanceof BackupError) throw error
    // The one text that the package has for it.
    if (/no identity matched/.test((error as Error).message))
      throw new BackupError('WrongIdentity', `${name} is encrypted to others: none of the identities opens it`)
    throw damaged(error)
  }
  return (async function* () {
    const reading = clear[Symbol.asyncIterator]()
    for (;;) {
      const { done, value } = await reading.next().catch(error => {
        throw error instanceof BackupError ? error : damaged(error)
      })
      if (done === true) return
      yield value
    }
  })()
}
