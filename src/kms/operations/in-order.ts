/** Changes of the same thing one after the other, so that reading, changing and writing it in a compare-and-set does not meet itself. */

const tails = new Map<string, Promise<unknown>>()

/** Runs `change` when all earlier ones of the same name are over, however they ended. */
export async function inOrder<T>(name: string, change: () => Promise<T>): Promise<T> {
  const before = tails.get(name) ?? Promise.resolve()
  const own = before.then(change, change)
  const tail = own.catch(() => {})
  tails.set(name, tail)
  try {
    return await own
  } finally {
    if (tails.get(name) === tail) tails.delete(name)
  }
}
