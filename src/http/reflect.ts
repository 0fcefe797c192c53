/**
 * The three functions of the metadata API that tsyringe, with which @peculiar/x509 registers its algorithms, demands of `Reflect` when it is loaded.
 * To be imported before it; where a whole polyfill is there already, that one stays.
 */
type Metadata = Map<unknown, unknown>

const kept = new WeakMap<object, Metadata>()

function getOwnMetadata(key: unknown, target: object): unknown {
  return kept.get(target)?.get(key)
}

function getMetadata(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
    if (kept.get(at)?.has(key)) return getOwnMetadata(key, at)
  }
  return undefined
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const own: Metadata = kept.get(target) ?? new Map()
  kept.set(target, own.set(key, value))
}

if (!('getMetadata' in Reflect)) Object.assign(Reflect, { getOwnMetadata, getMetadata, defineMetadata })
