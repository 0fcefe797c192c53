/**
 * The demo: both sides for real, four keys, files under each, then every owner's strongest act, measured, with the provider compelled in between. What it
 * prints and writes is made from the evidence alone.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, platform } from 'node:os'
import { join, resolve } from 'node:path'
import type { BoundaryControl } from '../../boundary/client/api.ts'
import { type ControlConnection, connectControl } from '../../boundary/client/control.ts'
import { serviceFolders } from '../../config/folders.ts'
import { compel } from '../compel/compel.ts'
import { prepareCompel } from '../compel/prepare.ts'
import { kmsClient } from '../data-service/envelope.ts'
import { type DataServiceProcess, startDataServiceProcess } from '../data-service/process.ts'
import { drillModel } from '../drill/drill.ts'
import type { Evidence } from '../evidence/types.ts'
import type { CustodyPlan, ModelPlan } from '../plan.ts'
import { complete } from '../report/answers.ts'
import { renderHtml } from '../report/html.ts'
import { documentation, filesUnder, type SourceFile, sample, store } from './files.ts'
import { type DemoState, demoState, HELD_KEY, KEPT_COPY, URI_PATH, untilConnected } from './keys.ts'
import { REGION, type Sides, startSides, stopSides } from './sides.ts'

export interface DemoOptions {
  /** Where everything is kept; `./holdfast-demo` by default. */
  readonly folder: string
  /** Files to store; the project's own documentation where there is none. */
  readonly data: string | undefined
  readonly fresh: boolean
  readonly cacheSeconds: number
  /** The project's root, for its documentation and version. */
  readonly root: string
  readonly version: string
  readonly signal: AbortSignal
  readonly say: Say
}

/** How the demo tells what it does. `step` begins a line; `bytes` moves the bar of the step that stores files. */
export interface Say {
  step(text: string): void
  bytes(done: number, total: number): void
  model(name: string, what: string): void
}

export interface Demo {
  readonly evidence: Evidence
  /** True where every cell of the table was established. */
  readonly complete: boolean
  readonly evidenceFile: string
  readonly reportFile: string
  /** Log lines of all the processes. */
  readonly logFile: string
  readonly state: DemoState
  readonly sides: Sides
  readonly dataService: string
  /** URL of one of the files under the key that its owner holds. */
  readonly example: string
  stop(): Promise<void>
}

/** Marks a folder as one that `--fresh` may remove. */
const MARK = '.holdfast-demo'

export function prepareFolder(folder: string, fresh: boolean): void {
  const mark = join(folder, MARK)
  if (existsSync(folder) && !existsSync(mark)) {
    throw new Error(`${folder} exists and is not a demo's folder. Name another one with --dir, or remove it.`)
  }
  if (fresh) rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(mark, 'Made by holdfast demo, which may remove this folder.\n')
}

export async function runDemo(options: DemoOptions): Promise<Demo> {
  const { say, signal } = options
  const folder = resolve(options.folder)
  prepareFolder(folder, options.fresh)
  const startedAt = Date.now()
  say.step('starting the owner’s and the provider’s side, four processes, XKS over mutual TLS between them')
  const logFile = join(folder, 'services.log')
  const logs = openSync(logFile, 'a', 0o600)
  const sides = await startSides(folder, logs)
  const controls: ControlConnection[] = []
  let service: DataServiceProcess | undefined
  const stop = async (): Promise<void> => {
    for (const control of controls) control.close()
    await service?.stop()
    await stopSides(sides)
    closeSync(logs)
  }
  try {
    const [owner, provider] = [sides.ownerData, sides.providerData].map(data => {
      const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
      controls.push(control)
      return control
    }) as [ControlConnection, ControlConnection]
    say.step('making four keys: provider-managed, customer-managed, brought by the owner, held by the owner')
    const state = await demoState(folder, sides.kmsEndpoint, provider, owner)
    signal.throwIfAborted()
    await connected(sides, state)
    service = await dataService(folder, sides, state, options.cacheSeconds, logs)
    const plan = await storeFiles(folder, sides, state, service.endpoint, options)
    signal.throwIfAborted()
    say.step('the provider takes its backup, and is ordered to keep every data key that it is given from now on')
    await prepareCompel(plan)
    say.step('revoking in each model while readers read, and acting as a compelled provider')
    const evidence = await drills(plan, owner, sides, startedAt, options)
    const [first] = plan.models.at(-1)?.files ?? []
    const example = `${service.endpoint}/v1/hyok/${first?.name.split('/').map(encodeURIComponent).join('/')}`
    const evidenceFile = join(folder, 'evidence.json')
    const reportFile = join(folder, 'report.html')
    writeFileSync(evidenceFile, `${JSON.stringify(evidence, null, 1)}\n`)
    writeFileSync(reportFile, renderHtml(evidence))
    return {
      evidence,
      logFile,
      complete: complete(evidence),
      evidenceFile,
      reportFile,
      state,
      sides,
      dataService: service.endpoint,
      example,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** After a restart the custom key store is taken up again in the background. */
async function connected(sides: Sides, state: DemoState): Promise<void> {
  const client = kmsClient({ endpoint: sides.kmsEndpoint, region: REGION, ...state.owner }, 3)
  await untilConnected(client).finally(() => client.destroy())
}

function dataService(
  folder: string,
  sides: Sides,
  state: DemoState,
  cacheSeconds: number,
  stderr: number,
): Promise<DataServiceProcess> {
  const { keys } = state
  const config = {
    folder: join(folder, 'data-service'),
    port: sides.dataServicePort,
    ...state.dataService,
    cacheSeconds,
    kms: { endpoint: sides.kmsEndpoint, region: REGION, ...state.service },
    buckets: {
      'provider-managed': keys.providerManaged,
      'customer-managed': keys.customerManaged,
      byok: keys.broughtByOwner,
      hyok: keys.heldByOwner,
    },
  }
  return startDataServiceProcess(config, stderr)
}

const MODELS: readonly (Pick<ModelPlan, 'name' | 'bucket' | 'acts' | 'ownerKey'> & { key: keyof DemoState['keys'] })[] =
  [
    {
      name: 'provider-managed',
      bucket: 'provider-managed',
      key: 'providerManaged',
      acts: ['disable', 'deny-by-policy', 'schedule-deletion'],
    },
    {
      name: 'customer-managed',
      bucket: 'customer-managed',
      key: 'customerManaged',
      acts: ['disable', 'deny-by-policy', 'schedule-deletion'],
    },
    { name: 'BYOK', bucket: 'byok', key: 'broughtByOwner', acts: ['delete-imported-material'], ownerKey: KEPT_COPY },
    { name: 'HYOK', bucket: 'hyok', key: 'heldByOwner', acts: ['revoke-at-owner'], ownerKey: HELD_KEY },
  ]

/** Stores the files unless the very same ones are there already, and writes the plan. */
async function storeFiles(
  folder: string,
  sides: Sides,
  state: DemoState,
  endpoint: string,
  { data, root, say, signal, cacheSeconds }: DemoOptions,
): Promise<CustodyPlan> {
  const files = data === undefined ? await documentation(root) : await filesUnder(resolve(data))
  if (files.length < 2) throw new Error(`${data} holds fewer than two files: name a folder with some`)
  const chosen = await sample(files)
  const known = join(folder, 'stored.json')
  const fingerprint = JSON.stringify({ files: files.map(({ name, bytes }) => [name, bytes]), chosen })
  if (!existsSync(known) || readFileSync(known, 'utf8') !== fingerprint) {
    const total = files.reduce((sum, file) => sum + file.bytes, 0) * MODELS.length
    say.step(`encrypting ${describe(files, chosen.length)} under each key`)
    let done = 0
    const progress = (bytes: number): void => {
      done += bytes
      say.bytes(done, total)
    }
    const buckets = MODELS.map(({ bucket }) => bucket)
    await store({ endpoint, token: state.dataService.token }, buckets, files, progress, signal)
    writeFileSync(known, fingerprint)
  }
  const plan: CustodyPlan = {
    kms: { endpoint: sides.kmsEndpoint, region: REGION },
    owner: { ...state.owner, ekm: sides.ownerData },
    dataService: {
      endpoint,
      ...state.dataService,
      folder: join(folder, 'data-service'),
      cacheSeconds,
      credential: state.service,
    },
    provider: {
      folder: sides.providerData,
      backup: join(folder, 'provider-backup'),
      rootFile: join(sides.providerData, 'root.key'),
      xks: {
        uri: `https://127.0.0.1:${sides.proxyPort}`,
        path: URI_PATH,
        key: 'files',
        ca: sides.certificates.ca,
        cert: sides.certificates.clientCertificate,
        privateKey: sides.certificates.clientKey,
        credential: state.proxy,
      },
    },
    models: MODELS.map(({ key, ...model }) => ({
      ...model,
      acts: [...model.acts],
      keyArn: state.keys[key],
      files: chosen,
    })),
  }
  writeFileSync(join(folder, 'plan.json'), JSON.stringify(plan, null, 1), { mode: 0o600 })
  return plan
}

function describe(files: readonly SourceFile[], chosen: number): string {
  const megabytes = files.reduce((sum, file) => sum + file.bytes, 0) / 1_000_000
  const size = `${files.length} files (${megabytes < 1 ? megabytes.toFixed(2) : megabytes.toFixed(1)} MB)`
  return files.length > chosen ? `${size}, of which ${chosen} will be read and attacked,` : size
}

/** All models at once: they share nothing but the machine. */
async function drills(
  plan: CustodyPlan,
  owner: BoundaryControl,
  sides: Sides,
  startedAt: number,
  { say, signal, cacheSeconds, version }: DemoOptions,
): Promise<Evidence> {
  const progress = (model: string, what: string): void => say.model(model, what)
  const models = await settled(
    plan.models.map(model =>
      drillModel(plan, model, {
        baseline: 500,
        signal,
        ownerBoundary: async () => owner,
        // A line a route would be four lines a second.
        compel: (attacked, _act, revokedAt) => compel(plan, attacked, { signal, revokedAt, progress: () => {} }),
        progress,
      }),
    ),
  )
  const checkpoint = (data: string): string | undefined => {
    const file = join(serviceFolders(data).boundary, 'checkpoint')
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined
  }
  const [providerNote, ownerNote] = [checkpoint(sides.providerData), checkpoint(sides.ownerData)]
  return {
    holdfast: version,
    format: 1,
    startedAt,
    finishedAt: Date.now(),
    machine: { os: platform(), arch: arch(), node: process.version, cpus: availableParallelism() },
    cacheSeconds,
    checkpoints: {
      ...(providerNote === undefined ? {} : { provider: providerNote }),
      ...(ownerNote === undefined ? {} : { owner: ownerNote }),
    },
    models,
  }
}

/** Like Promise.all, but waits for every drill to have restored what it revoked before it rejects. */
async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises)
  return results.map(result => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}
