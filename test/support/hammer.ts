/** Uses without pause while an owner acts: promise 3 for any protocol. */
import assert from 'node:assert/strict'

/** `ok`: the key was used. `refused`: refused as revoked; anything else throws. `startedAfter`: the owner's act had been answered. */
export type Use = (attempt: number, startedAfter: boolean) => Promise<'ok' | 'refused'>

/** Uses that must have succeeded before the act, and started after it: of all together, and by each its part of them. */
const BEFORE = 50
const AFTERWARDS = 100

/** Has `act` done while each of `uses` goes on, and until enough of each have started after it has answered: none of those may succeed. */
export async function hammer(uses: readonly Use[], act: () => Promise<unknown>): Promise<void> {
  const before = Math.ceil(BEFORE / uses.length)
  const afterwards = Math.ceil(AFTERWARDS / uses.length)
  let acting = false
  let acted = false
  let over = false
  let warm = 0
  let late = 0
  const work = async (use: Use): Promise<void> => {
    let succeeded = 0
    for (let attempt = 0, after = 0; after < afterwards && !over; attempt++) {
      const startedAfter = acted
      if (startedAfter) after++
      const said = await use(attempt, startedAfter)
      assert.ok(said === 'ok' || acting, 'refused before the owner acted')
      if (said !== 'ok') continue
      if (startedAfter) late++
      if (++succeeded === before) warm++
    }
  }
  const working = Promise.all(uses.map(work))
  try {
    while (warm < uses.length) await Promise.race([working, new Promise(next => setImmediate(next))])
    acting = true
    await act()
    acted = true
    await working
  } finally {
    over = true
  }
  assert.equal(late, 0, 'uses that started after the answer, and succeeded')
}
