/** The tags of a new session: those that the request brings, and those that a chained session hands on. */
import type { SessionTag } from '../access/session-body.ts'
import type { Caller } from '../access/types.ts'
import { StsError } from './errors.ts'

const MAX_TAGS = 50

/** Tag keys have no letter case. Throws where the request's tags contradict each other or what is handed on. */
export function sessionTags(
  caller: Caller,
  given: readonly (readonly [key: string, value: string])[],
  transitiveTagKeys: readonly string[],
): SessionTag[] {
  const wrong = (message: string) => new StsError('InvalidParameterValue', message)
  const handedOn = caller.kind === 'role' ? [...(caller.session?.transitiveTags ?? [])] : []
  const inherited = new Set(handedOn.map(([key]) => key.toLowerCase()))
  const transitive = new Set(transitiveTagKeys.map(key => key.toLowerCase()))
  const own = new Set<string>()
  for (const [key] of given) {
    const name = key.toLowerCase()
    if (name.startsWith('aws:')) throw wrong(`The tag key ${key} is reserved: it begins with aws:.`)
    if (own.has(name)) throw wrong('Duplicate tag keys found. Please note that Tag keys are case insensitive.')
    if (inherited.has(name))
      throw wrong(
        "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
      )
    own.add(name)
  }
  for (const name of transitive) {
    if (!own.has(name) && !inherited.has(name))
      throw wrong('The specified transitive tag key must be included in the requested tags.')
  }
  if (given.length + handedOn.length > MAX_TAGS) throw wrong(`A session has at most ${MAX_TAGS} tags.`)
  return [
    ...handedOn.map(([key, value]) => ({ key, value, transitive: true })),
    ...given.map(([key, value]) => ({ key, value, transitive: transitive.has(key.toLowerCase()) })),
  ]
}
