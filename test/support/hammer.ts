/** Uses without pause while an owner acts: promise 3 for any protocol. */
import assert from 'node:assert/strict'

/** `ok`: the key was used. `refused`: refused as revoked; anything else throws. */
export type Use = (attempt: number) => Promise<'ok' | 'refused'>

/** Uses that must have succeeded before the act, and started after it. */
const BEFORE = 50
const AFTERWARDS = 100

/** Has `act` done while each of `uses` goes on, and until enough uses have started after it has answered: none of those may succeed. */
export async function hammer(uses: readonly Use[], act: () => Promise<unknown>): Promise<void> {
  let succeeded = 0
  let acted = false
  let afterwards = 0
  let late = 0
  const work = async (use: Use): Promise<void> => {
    for (let attempt = 0; afterwards < AFTERWARDS; attempt++) {
      const startedAfter = acted
      if (startedAfter) afterwards++
      if ((await use(attempt)) !== 'ok') continue
      succeeded++
      if (startedAfter) late++
    }
  }
  const working = Promise.all(uses.map(work))
  while (succeeded < BEFORE) await Promise.race([working, new Promise(next => setImmediate(next))])
  await act()
  acted = true
  await working
  assert.equal(late, 0, 'uses that started after the answer, and succeeded')
}
