/** Keys that come near to what one version may encrypt, although the key manager makes the next version by itself: somebody has to look why it could not. */

import type { BoundaryControl } from '../../boundary/client/api.ts'
import { BoundaryError } from '../../boundary/words.ts'
import type { ReadControl } from '../../store/admin.ts'
import { type CountedKey, counting, listKeys } from '../admin/index.ts'
import { type Finding, ok, problem, warning } from './types.ts'

/** Of the bound: from here on it is a problem, and not only worth a look. */
const LATE = 0.75
/** Keys that are named. */
const NAMED = 16
const ADVICE =
  'The log of the service says why none could be made. Make one: holdfast ekm key rotate KEY. Beyond the bound encryptions are refused.'

/** Of the service whose boundary `control` reaches. */
export async function examineEncryptions(control: ReadControl & Pick<BoundaryControl, 'status'>): Promise<Finding[]> {
  try {
    return judged(await countedKeys(control))
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error
    const advice = 'Start the service, or unlock it; or leave out --data.'
    return [problem('encryptions', `the boundary does not say how often keys were used (${error.message})`, advice)]
  }
}

async function countedKeys(control: ReadControl & Pick<BoundaryControl, 'status'>): Promise<CountedKey[]> {
  const count = await counting(control)
  const keys: CountedKey[] = []
  for await (const key of listKeys(control)) keys.push(await count(key))
  return keys
}

function judged(keys: readonly CountedKey[]): Finding[] {
  let counted = 0
  let busiest = 0
  const due: { readonly key: CountedKey; readonly share: number }[] = []
  for (const key of keys) {
    const { encryptions } = key
    if (encryptions === null) continue
    counted++
    const share = encryptions.counted / encryptions.most
    busiest = Math.max(busiest, share)
    if (encryptions.counted >= encryptions.renewAfter) due.push({ key, share })
  }
  if (due.length === 0)
    return [
      ok('encryptions', `none of ${counted} keys needs a new version; the busiest has used ${percent(busiest)} of one`),
    ]
  due.sort((a, b) => b.share - a.share)
  const findings = due.slice(0, NAMED).map(({ key, share }) => {
    const seen = `${key.key}: its version ${key.version} has used ${percent(share)} of what it may, and has no successor`
    return share >= LATE ? problem('encryptions', seen, ADVICE) : warning('encryptions', seen, ADVICE)
  })
  if (due.length > NAMED) findings.push(warning('encryptions', `and ${due.length - NAMED} more keys`, ADVICE))
  return findings
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
