/** The owner's front end as a process. */
import type { EkmConfig } from '../config/ekm.ts'
import { runFrontEnd } from '../http/front-end.ts'
import { startEkm } from './service.ts'

runFrontEnd('ekm', async (config: EkmConfig) => {
  const { urls, operationsUrl, close } = await startEkm(config)
  const { xks, ...others } = urls
  return { line: { endpoint: xks, ...others, operations: operationsUrl }, close }
})
