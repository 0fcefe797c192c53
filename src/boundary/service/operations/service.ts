/**
 * What is asked of the boundary itself: whether its cryptography works, and in a development service that time passes.
 */

import type { OutputOf } from '../../client/protocol/operations.ts'
import { decryptExternal, encryptExternal } from '../../crypto/external.ts'
import { secretBytes } from '../../crypto/random.ts'
import { isNoRoom } from '../../journal/derived.ts'
import { TokenError } from '../../pkcs11/types.ts'
import type { RecordFields } from '../../record-fields.ts'
import { BoundaryError } from '../../words.ts'
import { CLOCK_ROW, encodeOffset, MAX_OFFSET } from '../clock.ts'
import { baseFields, type Call, type Core, refuse, spaceForUses } from '../core.ts'
import { nextRow } from '../transition.ts'
import { testToken } from './token.ts'

async function test(core: Core): Promise<{ ok: boolean; detail: string }> {
  const bytes = secretBytes(32)
  try {
    const key = core.keyring.key('test')
    const aad = Buffer.from('self test')
    const made = encryptExternal(key, 1, bytes, aad, false)
    if (!decryptExternal(key, made, aad).equals(bytes)) return { ok: false, detail: 'the cryptography library' }
    // All of them, also after one that failed: it is by being asked that a token which nobody uses is found to be gone.
    const tests = [...core.tokens].map(async ([name, token]) =>
      (await testToken(token, bytes)) ? '' : `the token ${name}`,
    )
    const told = await Promise.allSettled(tests)
    for (const one of told) if (one.status === 'rejected') throw one.reason
    const wrong = told.map(one => (one.status === 'fulfilled' ? one.value.trim() : '')).filter(detail => detail !== '')
    return { ok: wrong.length === 0, detail: wrong.join(', ') }
  } catch (error) {
    return { ok: false, detail: error instanceof TokenError ? error.message : 'the cryptography library' }
  }
}

export async function selfTest(core: Core, call: Call): Promise<OutputOf<'selfTest'>> {
  spaceForUses(core)
  const result = await test(core)
  const outcome = result.ok ? 'allowed' : 'failed'
  await core.book.record({ ...baseFields(core, 'selfTest', call, undefined), outcome })
  return result
}

/** Signs a checkpoint now. It changes nothing that a record would tell of. */
export async function checkpoint(core: Core): Promise<OutputOf<'checkpoint'>> {
  try {
    return await core.book.journal.signedPlace()
  } catch (error) {
    if (isNoRoom(error)) throw new BoundaryError('DiskFull')
    throw error
  }
}

/** Moves lifecycle time forward, durably. What falls due is done by the caller before it answers. */
export async function advanceClock(core: Core, milliseconds: number, call: Call): Promise<void> {
  const fields: RecordFields = baseFields(core, 'advanceClock', call, undefined)
  let durable: Promise<{ writeSet: number }>
  try {
    if (!core.root.file.dev)
      throw new BoundaryError('NotPermitted', 'the clock moves only in a service made with --dev')
    const offset = core.book.clockOffset + milliseconds
    if (offset > MAX_OFFSET) throw new BoundaryError('InvalidRequest', 'the clock moves at most a hundred years')
    const row = nextRow(core, { kind: 'clock', id: CLOCK_ROW, scope: '', link: '', body: encodeOffset(offset) })
    durable = core.book.commit({ ...fields, outcome: 'allowed', transition: `+${milliseconds} ms` }, [row])
  } catch (error) {
    return refuse(core, fields, error)
  }
  call.writeSet = (await durable).writeSet
}
