/**
 * The admin API as a process of its own: its only way to the boundary is the admin socket, over which no key can be made, used or exported.
 */
import { join } from 'node:path'
import { connectAdmin } from '../../boundary/client/control.ts'
import type { EkmConfig } from '../../config/ekm.ts'
import { serviceFolders } from '../../config/folders.ts'
import { runFrontEnd } from '../../http/front-end.ts'
import { startListener } from '../../http/listener.ts'
import { logReload, openLog, placeOf } from '../../http/logging.ts'
import { adminApi, adminListenerError, MAX_ADMIN_BODY } from './routes.ts'

const CLOSE_DEADLINE_MS = 5000

runFrontEnd('ekm-admin', async ({ data, admin, logging }: EkmConfig) => {
  if (admin === undefined) throw new Error('the configuration has no admin API')
  const log = openLog({ name: 'ekm-admin', level: logging.level })
  const control = connectAdmin({ socket: join(serviceFolders(data).admin, 'admin.sock') })
  const onDefect = (error: unknown): void => log('error', 'a request failed for a reason of ours', placeOf(error))
  const listener = await startListener({
    name: 'admin',
    host: admin.host,
    port: admin.port,
    tls: { profile: 'aws-api', ...admin.tls },
    limits: { bodyBytes: MAX_ADMIN_BODY, connections: 64, inFlight: 32 },
    handler: adminApi({ control, restore: admin.restore, onDefect }),
    errors: adminListenerError,
    onUnauthenticated: (reason, address) => log('warn', 'a request of nobody who is known', { reason, address }),
    onDefect,
    onReload: error => logReload(log, error),
  })
  return {
    line: { admin: listener.url },
    close: async () => {
      await listener.close({ deadlineMs: CLOSE_DEADLINE_MS })
      control.close()
    },
  }
})
