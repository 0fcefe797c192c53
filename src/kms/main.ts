/** The provider's front end as a process: its configuration is the supervisor's first message, `ready` its answer, SIGTERM its end. */
import type { FrontEndMessage } from '../boundary/supervisor/supervisor.ts'
import type { KmsConfig } from '../config/kms.ts'
import { startKms } from './service.ts'

const tell = (message: FrontEndMessage): void => {
  process.send?.(message)
}

process.once('message', async (config: KmsConfig) => {
  try {
    const service = await startKms(config)
    const stop = async (): Promise<void> => {
      await service.close()
      process.exit(0)
    }
    process.once('SIGTERM', stop)
    process.once('disconnect', stop)
    // Ctrl-C reaches the whole process group; the supervisor decides the order of stopping.
    process.on('SIGINT', () => {})
    tell({ type: 'ready', line: { endpoint: service.url, regions: config.regions, pid: process.pid } })
  } catch (error) {
    tell({ type: 'failed', reason: error instanceof Error ? error.message : String(error) })
    process.exit(1)
  }
})
