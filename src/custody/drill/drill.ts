/**
 * A drill of one model: for each of its owner's acts, revoke, watch until every cache is cold, let the compelled provider try, and restore.
 * Restoring happens whatever goes wrong in between, also when the drill is interrupted.
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { BoundaryControl } from '../../boundary/client/api.ts'
import { kmsClient } from '../data-service/envelope.ts'
import {
  type ActEvidence,
  type Attempt,
  type CompelEvidence,
  custodyModel,
  type ModelEvidence,
  type OwnerAct,
  type Sample,
} from '../evidence/types.ts'
import type { CustodyPlan, ModelPlan } from '../plan.ts'
import { ACTS, type ActContext } from './acts.ts'
import { probeReads, probeUses, type RawSample, readObject } from './probes.ts'

export interface DrillOptions {
  /** Milliseconds of undisturbed use before each act. */
  readonly baseline: number
  /** Stops the drill: what was revoked is restored, and the drill rejects. */
  readonly signal: AbortSignal
  readonly ownerBoundary: () => Promise<BoundaryControl>
  /** Called while the act is in force and every cache is cold. */
  /** `revokedAt`: when the owner first acted on this model's key, milliseconds since 1970. */
  readonly compel?: (model: ModelPlan, act: OwnerAct, revokedAt: number) => Promise<CompelEvidence>
  /** One line of progress. */
  readonly progress: (model: string, what: string) => void
}

/** Runs one thing and says how it went; never rejects. */
export async function attempt(action: () => Promise<unknown>): Promise<Attempt> {
  const at = Date.now()
  const start = performance.now()
  try {
    await action()
    return { at, took: performance.now() - start, ok: true, error: '', message: '' }
  } catch (error) {
    const { name, message } = error as Error
    return { at, took: performance.now() - start, ok: false, error: name, message: message.slice(0, 500) }
  }
}

/** Drills one model. Rejects only where the drill itself could not be carried out, never because the key still worked. */
export async function drillModel(plan: CustodyPlan, model: ModelPlan, options: DrillOptions): Promise<ModelEvidence> {
  const owner = kmsClient({ endpoint: plan.kms.endpoint, region: plan.kms.region, ...plan.owner }, 3)
  const service = kmsClient({ endpoint: plan.kms.endpoint, region: plan.kms.region, ...plan.dataService.credential })
  try {
    const { KeyMetadata } = await service.describeKey({ KeyId: model.keyArn })
    const manager = KeyMetadata?.KeyManager ?? ''
    const origin = KeyMetadata?.Origin ?? ''
    const derived = custodyModel({ manager, origin })
    if (!derived)
      throw new Error(
        `${model.name}: a key of manager ${manager} and origin ${origin} is none of the four custody models`,
      )
    const keyArn = KeyMetadata?.Arn ?? model.keyArn
    const context = { bucket: model.bucket, probe: 'custody-drill' }
    const probe = await service.generateDataKeyWithoutPlaintext({
      KeyId: keyArn,
      KeySpec: 'AES_256',
      EncryptionContext: context,
    })
    const acts: ActEvidence[] = []
    for (const act of model.acts) {
      options.signal.throwIfAborted()
      const actContext: ActContext = {
        kms: owner,
        keyArn,
        ownerKey: model.ownerKey,
        ownerBoundary: options.ownerBoundary,
      }
      const uses = (): ReturnType<typeof probeUses> =>
        probeUses(service, keyArn, probe.CiphertextBlob ?? new Uint8Array(), context)
      acts.push(await drillAct(plan, model, act, actContext, uses, acts[0]?.attempt.at, options))
    }
    return { model: derived, name: model.name, keyArn, manager, origin, acts }
  } finally {
    owner.destroy()
    service.destroy()
  }
}

async function drillAct(
  plan: CustodyPlan,
  model: ModelPlan,
  act: OwnerAct,
  context: ActContext,
  startUses: () => ReturnType<typeof probeUses>,
  firstActAt: number | undefined,
  options: DrillOptions,
): Promise<ActEvidence> {
  const definition = ACTS[act]
  // Every file that counts as read has been read at least once, so that "already read" is true of all of them.
  for (const file of model.files) if (file.read) await readObject(plan.dataService, model.bucket, file)

  const uses = startUses()
  const reads = probeReads(plan.dataService, model)
  let done: Attempt | undefined
  let restore: Attempt | undefined
  let compel: CompelEvidence | undefined
  let answered = 0
  try {
    await delay(options.baseline, undefined, { signal: options.signal })
    options.progress(model.name, definition.call)
    done = await attempt(() => definition.perform(context))
    answered = performance.now()
    await untilCold(reads.samples, answered, plan.dataService.cacheSeconds * 1000, options.signal)
    await Promise.all([uses.stop(), reads.stop()])
    if (options.compel) {
      options.progress(model.name, 'acting as a compelled provider')
      compel = await options.compel(model, act, firstActAt ?? done.at)
    }
  } finally {
    await Promise.all([uses.stop(), reads.stop()])
    // A refused act changed nothing, and there is nothing to undo.
    if (done?.ok) {
      options.progress(model.name, 'restoring')
      restore = await attempt(() => definition.undo(context))
      if (!restore.ok) options.progress(model.name, `restore failed: ${restore.error}: ${restore.message}`)
    }
  }
  return {
    act,
    call: definition.call,
    consent: definition.consent,
    attempt: done,
    watched: performance.now() - answered,
    ...observed(uses.samples, reads.samples, answered),
    ...(compel ? { compel } : {}),
    ...(restore ? { restore } : {}),
  }
}

/** Resolves when no data key opened before the act can still be in a cache, and the readers have seen a full second of what comes after. */
async function untilCold(
  reads: readonly RawSample[],
  answered: number,
  cache: number,
  signal: AbortSignal,
): Promise<void> {
  const settled = 600
  while (performance.now() < answered + cache + settled || !reads.some(read => read.start > answered + cache)) {
    await delay(50, undefined, { signal })
  }
}

/** What the samples say, measured from the instant at which revoke answered. */
export function observed(
  uses: readonly RawSample[],
  reads: readonly RawSample[],
  answered: number,
): Pick<ActEvidence, 'uses' | 'reads' | 'usesAfter' | 'lastUse' | 'lastRead' | 'firstFailedRead'> {
  const relative = (samples: readonly RawSample[]): Sample[] =>
    samples.map(({ start, end, ok, error }) => ({
      start: round(start - answered),
      end: round(end - answered),
      ok,
      error,
    }))
  const useSamples = relative(uses)
  const readSamples = relative(reads)
  const lastUse = useSamples.findLast(sample => sample.ok)?.start
  const lastRead = readSamples.findLast(sample => sample.ok)?.end
  const firstFailedRead = readSamples.find(sample => !sample.ok && sample.start >= 0)?.start
  return {
    uses: useSamples,
    reads: readSamples,
    usesAfter: useSamples.filter(sample => sample.ok && sample.start > 0).length,
    ...(lastUse === undefined ? {} : { lastUse }),
    ...(lastRead === undefined ? {} : { lastRead }),
    ...(firstFailedRead === undefined ? {} : { firstFailedRead }),
  }
}

const round = (milliseconds: number): number => Math.round(milliseconds * 10) / 10
