/** The provider's front end as a process. */
import type { KmsConfig } from '../config/kms.ts'
import { runFrontEnd } from '../http/front-end.ts'
import { startKms } from './service.ts'

runFrontEnd('kms', async (config: KmsConfig) => {
  const { url, operationsUrl, close } = await startKms(config)
  return { line: { endpoint: url, operations: operationsUrl, regions: config.regions }, close }
})
