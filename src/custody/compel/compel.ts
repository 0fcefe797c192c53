/**
 * Acting as a compelled provider: every route that the plan gives the provider is prepared and then really tried on every file, from the quietest to the
 * one that changes the most. What opened a file is proven by the SHA-256 of its plaintext.
 */
import { blobKind } from '../../boundary/crypto/envelope.ts'
import type { CompelEvidence, FileEvidence, RouteEvidence } from '../evidence/types.ts'
import type { CustodyPlan, FilePlan, ModelPlan } from '../plan.ts'
import { openWith, sealedFile } from './files.ts'
import { keepsRoot, rootEvidence } from './holdings.ts'
import { type Route, RouteFailure, type SealedFile, tried } from './route.ts'
import { dataService } from './routes/data-service.ts'
import { keptDataKeys } from './routes/kept.ts'
import { override } from './routes/override.ts'
import { askProxy, replay } from './routes/proxy.ts'
import { rootBackup, rootKept, rootNow } from './routes/root.ts'

export interface CompelOptions {
  /** Stops between files: what a route changed is put back, and the attempt rejects. */
  readonly signal: AbortSignal
  /** One line of progress. */
  readonly progress: (model: string, what: string) => void
  /** When the owner first acted, milliseconds since 1970: data keys that were kept before it are "already read". */
  readonly revokedAt: number
  /** Files that are tried at once; 4 unless given. */
  readonly concurrency?: number
}

/** The routes that the plan gives the provider for one model, in the order in which they are tried. */
export async function routesOf(plan: CustodyPlan, model: ModelPlan, revokedAt: number): Promise<Route[]> {
  const { provider, dataService: service } = plan
  const { region } = plan.kms
  const kept = keptDataKeys(service, revokedAt)
  if (!provider) return [dataService(service), kept]
  const input =
    provider.xks && (await heldByOwner(plan, model))
      ? { provider, xks: provider.xks, region, keyArn: model.keyArn }
      : undefined
  return [
    rootNow(provider, region),
    rootBackup(provider, region),
    ...(keepsRoot(provider) ? [rootKept(provider, region)] : []),
    dataService(service),
    ...(input ? [askProxy(input), replay(input)] : []),
    override(plan, provider, model.keyArn),
    kept,
  ]
}

/** Whether the owner's layer is around the data keys, which the files themselves say. */
async function heldByOwner(plan: CustodyPlan, model: ModelPlan): Promise<boolean> {
  const [first] = model.files
  if (first === undefined) return false
  const file = await sealedFile(plan, model, first).catch(() => undefined)
  return file !== undefined && blobKind(file.encryptedDataKey) === 'envelope'
}

/** Rejects only where it was stopped, or where what a route changed could not be put back; never because a route failed. */
export async function compel(plan: CustodyPlan, model: ModelPlan, options: CompelOptions): Promise<CompelEvidence> {
  return tryRoutes(await routesOf(plan, model, options.revokedAt), plan, model, options)
}

/** `compel` with these routes. */
export async function tryRoutes(
  routes: readonly Route[],
  plan: CustodyPlan,
  model: ModelPlan,
  options: Omit<CompelOptions, 'revokedAt'>,
): Promise<CompelEvidence> {
  const startedAt = Date.now()
  const start = performance.now()
  const attempts = new Map<FilePlan, FileEvidence['attempts'][number][]>(model.files.map(file => [file, []]))
  const evidence: RouteEvidence[] = []
  for (const route of routes) {
    options.signal.throwIfAborted()
    options.progress(model.name, route.title)
    try {
      const prepared = await tried(() => route.prepare())
      evidence.push({ route: route.route, title: route.title, with: route.with, prepared })
      await each(model.files, options.concurrency ?? 4, async file => {
        options.signal.throwIfAborted()
        const result = await tried(async () => tryFile(route, await sealedFile(plan, model, file)))
        attempts.get(file)?.push({ route: route.route, ...result })
      })
    } finally {
      await route.finish?.()
    }
  }
  const files = model.files.map(file => {
    const own = attempts.get(file) ?? []
    const openedBy = own.find(result => result.ok)?.route
    const { name, bytes, sha256, read } = file
    return { name, bytes, sha256, readBefore: read, ...(openedBy === undefined ? {} : { openedBy }), attempts: own }
  })
  const root = plan.provider && (await rootEvidence(plan.provider))
  return { startedAt, took: performance.now() - start, ...(root && { root }), routes: evidence, files }
}

async function tryFile(route: Route, file: SealedFile): Promise<void> {
  if ('read' in route) return route.read(file)
  const dataKey = await route.unwrap(file.encryptedDataKey, file)
  try {
    if (dataKey.length !== 32) throw new RouteFailure('WrongDataKey', 'A data key of this suite has 32 bytes.')
    await openWith(dataKey, file)
  } finally {
    dataKey.fill(0)
  }
}

/** Does `work` for each item, so many at a time. The first rejection is passed on when those under way have ended. */
async function each<T>(items: readonly T[], workers: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  const run = async (): Promise<void> => {
    for (const item of queue) await work(item)
  }
  const results = await Promise.allSettled(Array.from({ length: Math.max(1, workers) }, run))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
