/** What the service has against too much load, put together from its configuration. */
import type { BoundaryUse } from '../../boundary/client/api.ts'
import { counterLimits } from '../../boundary/service/keys/counters.ts'
import type { EkmConfig } from '../../config/ekm.ts'
import type { Log } from '../../http/logging.ts'
import type { Metrics } from '../../http/metrics.ts'
import type { Replica } from '../../store/replica.ts'
import type { CoreOptions } from '../core.ts'
import { Admission } from './admission.ts'
import { EncryptionsMeter } from './encryptions.ts'
import { LoadLog } from './load-log.ts'
import { EkmMeter } from './meter.ts'
import { tenantQuotas } from './quotas.ts'

/** Of a token whose configuration names no number. */
const USUAL_SESSIONS = 8

export interface LoadParts {
  readonly config: Pick<EkmConfig, 'load' | 'metrics' | 'limits' | 'boundary'>
  readonly boundary: Pick<BoundaryUse, 'record'>
  readonly replica: Pick<Replica, 'get' | 'peek' | 'listAll' | 'watch'>
  readonly metrics: Metrics
  readonly log: Log
}

export interface Load {
  readonly forCore: Pick<CoreOptions, 'admission' | 'onAnswered'>
  stop(): Promise<void>
}

export function startLoad({ config, boundary, replica, metrics, log }: LoadParts): Load {
  const { load, limits } = config
  const meter = new EkmMeter(config.metrics)
  const loadLog = new LoadLog(entry => boundary.record(entry), log)
  const admission = new Admission({
    quotaOf: tenantQuotas(replica, load),
    inFlight: limits.inFlight,
    // Each session at work, and as many again at the door.
    turns: 2 * sessions(config.boundary),
    withinMs: load.withinMs,
    onLoad: (who, reason) => {
      meter.load(who, reason)
      loadLog.count(who, reason)
    },
  })
  metrics.add(meter.asMetrics(() => admission.underWay()))
  const { most, renewAfter } = counterLimits(config.boundary.maxEncryptions, config.boundary.renewAfter)
  metrics.add(new EncryptionsMeter({ replica, keys: config.metrics.keys, most, renewAfter }).asMetrics())
  loadLog.start()
  return {
    forCore: {
      admission,
      onAnswered: (caller, key, outcome, seconds) => meter.answered(caller, key, outcome, seconds),
    },
    stop: async () => {
      admission.stop()
      await loadLog.stop()
    },
  }
}

/** Of the token with the most. */
function sessions({ root, tokens }: EkmConfig['boundary']): number {
  const all = [...(root.kind === 'pkcs11' ? [root] : []), ...Object.values(tokens)]
  return Math.max(USUAL_SESSIONS, ...all.map(token => token.sessions ?? 0))
}
