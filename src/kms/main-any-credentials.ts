/** The front end of `holdfast kms --dev --dangerously-accept-any-credentials` as a process. Nothing else begins it. */
import type { KmsConfig } from '../config/kms.ts'
import { runFrontEnd } from '../http/front-end.ts'
import { startKms } from './service.ts'
import { DANGEROUSLY_ACCEPT_ANY_CREDENTIALS } from './wire/any-credentials.ts'

runFrontEnd('kms', async (config: KmsConfig) => {
  const { url, operationsUrl, close } = await startKms(config, DANGEROUSLY_ACCEPT_ANY_CREDENTIALS)
  return { line: { endpoint: url, operations: operationsUrl, regions: config.regions, anyCredentials: true }, close }
})
