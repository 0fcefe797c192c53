/**
 * A supervisor as a process of its own, for tests that kill it or give it users. Prints the front end's line with the children's pids.
 */
import path from 'node:path'
import type { BoundaryConfig } from '../../src/boundary/config.ts'
import { startService, untilSignalled } from '../../src/boundary/supervisor/supervisor.ts'

const boundary: BoundaryConfig = JSON.parse(process.argv[2] ?? '')
const service = startService({
  boundary,
  frontEnd: {
    entry: path.join(import.meta.dirname, 'front-end.ts'),
    config: { socket: path.join(boundary.folder, 'use.sock') },
  },
})
const ended = untilSignalled(service)
console.log(JSON.stringify({ ...(await service.ready), pids: service.pids() }))
process.exit(await ended)
