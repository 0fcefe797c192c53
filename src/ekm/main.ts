/** The owner's front end as a process. */
import type { EkmConfig } from '../config/ekm.ts'
import { runFrontEnd } from '../http/front-end.ts'
import { startEkm } from './service.ts'

runFrontEnd('ekm', async (config: EkmConfig) => {
  const { url, operationsUrl, close } = await startEkm(config)
  return { line: { endpoint: url, operations: operationsUrl }, close }
})
