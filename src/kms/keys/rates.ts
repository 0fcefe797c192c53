/**
 * What a request counts toward once its key is known (docs/quotas.md): asked when the caller is allowed the use, so that who is not learns nothing of
 * keys from it, and before the key is used. Each once for a request, however often that is decided.
 */
import type { Call, FoundKey } from '../operations/types.ts'
import { tooFast } from '../wire/errors.ts'

const CLASS = 'class'
const ONLY_CLASS: readonly string[] = [CLASS]

function isFirst(call: Call, what: string): boolean {
  if (call.counted.includes(what)) return false
  call.counted = call.counted.length === 0 && what === CLASS ? ONLY_CLASS : [...call.counted, what]
  return true
}

/** The class of the key, and its custom key store. With two keys the class is the first one's, and each store counts. Throws ThrottlingException. */
export function countUse(call: Call, { header }: FoundKey, pairSpec: string | undefined): void {
  const { limits, caller, region, operation } = call
  if (limits === undefined) return
  const fits = !isFirst(call, CLASS) || limits.takeByKey(caller.account, region, operation, header.spec, pairSpec)
  if (!fits) throw tooFast()
  if (header.keyStoreId !== '') countStore(call, header.keyStoreId)
}

/** A custom key store, by its row id. Throws ThrottlingException. */
export function countStore(call: Call, store: string): void {
  const { limits, operation } = call
  if (limits === undefined || !isFirst(call, store)) return
  if (!limits.takeOfStore(operation, store)) throw tooFast()
}

/** What the request does in another Region too, as often as AWS counts it there. Throws ThrottlingException. */
export function countElsewhere(call: Call, region: string, operation: string, times: number): void {
  const { limits, caller } = call
  if (limits === undefined || !isFirst(call, region)) return
  for (let time = 0; time < times; time++) if (!limits.take(caller.account, region, operation)) throw tooFast()
}
