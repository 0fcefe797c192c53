/**
 * What the deletion of a key is worth against copies of the provider's store, on the real program: before the root is rotated an old backup opens its
 * data, after it nothing does, unless the provider kept a copy of the root as well.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type DataServiceProcess, startDataServiceProcess } from '../src/custody/data-service/process.ts'
import type { CompelEvidence } from '../src/custody/evidence/types.ts'
import { ROOT } from './support/ekm.ts'
import { ApiClient, type Kms, REGION, startKms } from './support/kms.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-deletion-'))
const [data, plan, evidence] = ['provider', 'plan.json', 'evidence.json'].map(name => join(folder, name)) as [
  string,
  string,
  string,
]
const CONTENT = Buffer.from('what its owner wants to be gone')
const tokens = { token: 'of-a-user', operatorToken: 'of-the-operator' }
/** Two keys, each with a file that nobody has read, so that no data key of it was kept. */
const NAMES = ['first', 'second'] as const
let kms: Kms
let service: DataServiceProcess
let client: ApiClient
const keys = new Map<string, { readonly KeyId: string; readonly Arn: string }>()

function holdfast(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise(resolve => {
    const child = execFile(
      join(ROOT, 'bin', 'holdfast'),
      args,
      { cwd: folder, timeout: 60_000, maxBuffer: 1 << 26 },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    )
  })
}

async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await holdfast(...args)
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  return stdout
}

/** Acts as the provider under compulsion, and says how each route ended: `opened`, or the error. */
async function compelled(model: (typeof NAMES)[number]): Promise<Record<string, string>> {
  const printed = await done('custody', 'compel', '--plan', plan, '--model', model, '--into', evidence, '--json')
  const [file] = (JSON.parse(printed) as Record<string, CompelEvidence>)[model]?.files ?? []
  return Object.fromEntries((file?.attempts ?? []).map(({ route, ok, error }) => [route, ok ? 'opened' : error]))
}

before(async () => {
  kms = await startKms(['--data', data])
  client = new ApiClient(kms.line.endpoint, kms.line)
  for (const name of NAMES) keys.set(name, (await client.ok('CreateKey')).KeyMetadata)
  const { accessKeyId, secretAccessKey, endpoint } = kms.line
  const credential = { accessKeyId, secretAccessKey }
  const stored = join(folder, 'data-service')
  service = await startDataServiceProcess({
    ...tokens,
    folder: stored,
    port: 0,
    cacheSeconds: 1,
    kms: { endpoint, region: REGION, ...credential },
    buckets: Object.fromEntries([...keys].map(([name, { Arn }]) => [name, Arn])),
  })
  for (const name of NAMES) {
    const headers = { authorization: `Bearer ${tokens.token}` }
    const put = await fetch(`${service.endpoint}/v1/${name}/secret.txt`, { method: 'PUT', headers, body: CONTENT })
    assert.ok(put.ok, await put.text())
  }
  const file = { name: 'secret.txt', bytes: CONTENT.length, sha256: createHash('sha256').update(CONTENT).digest('hex') }
  const text = JSON.stringify({
    kms: { endpoint, region: REGION },
    owner: credential,
    dataService: { endpoint: service.endpoint, ...tokens, folder: stored, cacheSeconds: 1, credential },
    provider: { folder: data, backup: join(folder, 'backup'), rootFile: join(data, 'root.key') },
    models: [...keys].map(([name, { Arn }]) => ({
      name,
      bucket: name,
      keyArn: Arn,
      acts: ['disable'],
      files: [{ ...file, read: false }],
    })),
  })
  writeFileSync(plan, text, { mode: 0o600 })
})
after(async () => {
  client?.close()
  await service?.stop()
  await kms?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Deletes a key for good: its days pass. */
async function deleted(name: (typeof NAMES)[number]): Promise<void> {
  await client.ok('ScheduleKeyDeletion', { KeyId: keys.get(name)?.KeyId, PendingWindowInDays: 7 })
  await done('dev', 'clock', 'advance', '8d', '--data', data)
}

/** What the report says of the attempts that were made after the drill. */
async function saidLater(): Promise<string> {
  const { stdout } = await holdfast('custody', 'report', evidence)
  return stdout.slice(stdout.indexOf('Tried again later')).replaceAll(/\s+/g, ' ')
}

test('a deleted key opens from an old backup before the root is rotated, and not after; the report shows both', async () => {
  await done('custody', 'drill', '--plan', plan, '--model', 'first', '--out', evidence, '--baseline', '100')
  await done('custody', 'compel', '--plan', plan, '--prepare')
  await deleted('first')

  const earlier = await compelled('first')
  assert.equal(earlier['root-now'], 'KeyDeleted')
  assert.equal(earlier['root-backup'], 'opened')
  assert.equal(earlier['root-kept'], undefined)

  await done('root', 'rotate', '--data', data)
  const later = await compelled('first')
  assert.equal(later['root-backup'], 'RootDestroyed')
  assert.ok(!Object.values(later).includes('opened'), JSON.stringify(later))

  const said = await saidLater()
  assert.match(
    said,
    /generation 1 .*1 of 1 files, by opening the sealed key of a backup.*a backup of before opens 1 of 1 under the root of today/,
  )
  assert.match(said, /generation 2 .*0 of 1 files.*a backup of before opens nothing: its root generation is destroyed/)
})

test('a provider that keeps a copy of the root opens it still, and the report says with what', async () => {
  await done('custody', 'compel', '--plan', plan, '--prepare', '--keep-root')
  await deleted('second')
  await done('root', 'rotate', '--data', data)
  const routes = await compelled('second')
  assert.equal(routes['root-backup'], 'RootDestroyed')
  assert.equal(routes['root-kept'], 'opened')
  assert.match(
    await saidLater(),
    /generation 3 .*1 of 1 files, by opening the sealed key of a backup with a kept copy of the root.*opens nothing: its root generation is destroyed \(all up to 2.*with the copy of the root that was kept beside it 1 of 1/,
  )
})
