/** The front end of `holdfast ekm` with one protocol more, whose one route nobody has declared. Everything else is the real front end. */
import { PROTOCOLS } from '../../src/ekm/protocols/index.ts'
import type { Protocol } from '../../src/ekm/protocols/types.ts'

const undeclared: Protocol = { name: 'azure', routes: ['releasekey'], start: async () => undefined }
;(PROTOCOLS as Protocol[]).push(undeclared)

await import('../../src/ekm/main.ts')
