/** Bounds of waiting for what the hot path seldom waits for: rows that are not in memory, decisions of people, checks of health. */
import { BoundaryError } from '../../boundary/words.ts'
import type { Replica } from '../../store/replica.ts'

/** Rejects with Unavailable where there is no answer after so long. What comes later is dropped. */
export function within<T>(milliseconds: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new BoundaryError('Unavailable', `no answer within ${milliseconds} ms`))
    const timer = setTimeout(late, milliseconds)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

export type Reads = Pick<Replica, 'get' | 'peek' | 'secret' | 'peekSecret'>

/** What verifiers read of the replica, while nobody is known yet whose request could be timed. */
export function readsWithin(milliseconds: number, replica: Reads): Reads {
  return {
    peek: (kind, id) => replica.peek(kind, id),
    peekSecret: (kind, id) => replica.peekSecret(kind, id),
    get: (kind, id) => within(milliseconds, replica.get(kind, id)),
    secret: (kind, id) => within(milliseconds, replica.secret(kind, id)),
  }
}
