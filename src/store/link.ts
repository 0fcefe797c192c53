/**
 * A front end's link to its boundary: the connection, and the replica that is caught up at each one before anything is served from it. Both processes
 * start at the same time, so the first connection is waited for, within reason.
 */
import { connectUse, type UseConnection } from '../boundary/client/use.ts'
import type { WriteSet } from '../boundary/words.ts'
import { StoreError } from './errors.ts'
import { type CacheLimits, openReplica, type Replica } from './replica.ts'
import type { Store } from './types.ts'

/** How long a start waits for the boundary; without it requests are answered 5xx. */
const FIRST_ANSWER_MS = 5000

export interface LinkOptions {
  readonly store: Store
  /** Path of the boundary's `use.sock`. */
  readonly socket: string
  readonly limits: Partial<CacheLimits>
  readonly log: (level: 'info' | 'warn', message: string, fields?: { readonly reason: string }) => void
  /** Before the replica has taken a write set. */
  readonly onWriteSet?: (set: WriteSet) => void
  /** After each answer and each loss. `replica.ready` says whether rows can be served. */
  readonly onChange?: (link: Link) => void | Promise<void>
  /** The store failed, and only opening it anew can help. */
  readonly onFailed: (error: StoreError) => void
}

export interface Link {
  readonly boundary: UseConnection
  readonly replica: Replica
}

/** Connects, and stays connected. Resolves when the boundary has answered (it may be locked), or after a while without it. */
export async function openLink(options: LinkOptions): Promise<Link> {
  const { log, onChange, onWriteSet } = options
  const opened = Promise.withResolvers<Link>()
  const heard = Promise.withResolvers<void>()
  let answered = false
  /** Of the store that cannot be brought up to date, told once: every connection ends with it. */
  let told = ''
  const boundary = connectUse({
    socket: options.socket,
    onWriteSet: async set => {
      onWriteSet?.(set)
      await (await opened.promise).replica.onWriteSet(set)
    },
    onState: async state => {
      const link = await opened.promise
      if (state.kind === 'disconnected') {
        link.replica.suspend()
        const { failure } = link.replica
        if (failure !== '' && failure !== told) log('warn', 'the store cannot be used', { reason: failure })
        told = failure
        // Before its first answer the boundary is not lost; it is not there yet.
        if (answered) {
          if (failure === '') log('warn', 'the boundary does not answer', { reason: state.reason })
          await onChange?.(link)
        }
        return
      }
      answered = true
      if (state.hello.locked) log('warn', 'the boundary is locked: run holdfast unlock')
      else {
        try {
          await link.replica.catchUp()
        } catch (error) {
          if (error instanceof StoreError && error.code === 'Failed') options.onFailed(error)
          throw error
        }
        told = ''
        log('info', 'the boundary answers')
      }
      await onChange?.(link)
      heard.resolve()
    },
  })
  const link = { boundary, replica: await openReplica({ store: options.store, boundary, limits: options.limits }) }
  opened.resolve(link)
  const patience = setTimeout(heard.resolve, FIRST_ANSWER_MS)
  await heard.promise
  clearTimeout(patience)
  return link
}
