/** A passphrase that is set. */
import { readSecretLine } from './secret-input.ts'

/** A new passphrase: on a terminal asked for twice. The caller wipes it. */
export async function readNewPassphrase(): Promise<Buffer> {
  const givenUp = 'nothing was changed'
  const first = await readSecretLine('New passphrase', givenUp)
  if (process.stdin.isTTY !== true) return first
  const second = await readSecretLine('The same again', givenUp)
  const same = first.equals(second)
  second.fill(0)
  if (same) return first
  first.fill(0)
  throw new Error('the two are not the same: nothing was changed')
}
