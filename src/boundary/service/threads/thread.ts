/**
 * One thread of slow work. Jobs come a few together and are done in their order; results leave a few together too, so that they share what each would cost
 * alone: waking the boundary's own thread, a commit, a message to the front end.
 */
import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import { type Job, type Result, work } from './jobs.ts'

/** Of results that leave together: how many, and for how many milliseconds the first of them is held. */
const MOST_TOGETHER = 16
const HELD_MS = 4

const port = parentPort
if (port === null) throw new Error('this file is the entry of a thread')

port.on('message', (first: readonly Job[]) => {
  let results: Result[] = []
  let since = 0
  const leave = (): void => {
    // Moved, not copied: what was made may be a secret.
    port.postMessage(
      results,
      results.flatMap(result => ('made' in result ? [result.made.buffer] : [])),
    )
    results = []
  }
  for (let jobs: readonly Job[] | undefined = first; jobs !== undefined; jobs = receiveMessageOnPort(port)?.message) {
    for (const job of jobs) {
      if (results.length === 0) since = performance.now()
      results.push(work(job))
      if (results.length >= MOST_TOGETHER || performance.now() - since >= HELD_MS) leave()
    }
  }
  if (results.length > 0) leave()
})
