/** The data service as a process: takes its configuration as its first message, says where it listens, stops on SIGTERM or when its parent is gone. */
import type { DataServiceConfig } from './config.ts'
import { startDataService } from './server.ts'

process.once('message', async (config: DataServiceConfig) => {
  try {
    const service = await startDataService(config)
    const stop = async (): Promise<void> => {
      await service.close()
      process.exit(0)
    }
    process.once('SIGTERM', stop)
    // Ctrl-C reaches the whole process group; the parent decides when this service stops.
    process.on('SIGINT', () => {})
    process.once('disconnect', stop)
    process.send?.({ ready: service.endpoint })
  } catch (error) {
    process.send?.({ failed: error instanceof Error ? error.message : String(error) })
    process.exit(1)
  }
})
