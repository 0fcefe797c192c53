/** `holdfast custody` against a demo that keeps running, as its last lines invite to. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import type { CompelEvidence, Evidence } from '../src/custody/evidence/types.ts'
import { loadPlan } from '../src/custody/plan.ts'

const holdfast = join(resolve(import.meta.dirname, '..'), 'bin/holdfast')

let folder: string
let demo: ChildProcess

interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(...args: string[]): Promise<Result> {
  return new Promise(done => {
    const child = execFile(
      holdfast,
      args,
      { cwd: folder, timeout: 60_000, maxBuffer: 1 << 26 },
      (_error, stdout, stderr) => done({ code: child.exitCode, stdout, stderr }),
    )
  })
}

/** Starts a command, and resolves when what it has printed matches. */
async function startUntil(args: readonly string[], pattern: RegExp): Promise<ChildProcess> {
  const child = spawn(holdfast, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  await new Promise<void>((ready, failed) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', chunk => {
        printed += chunk
        if (pattern.test(printed)) ready()
      })
    }
    child.once('exit', code => failed(new Error(`holdfast ${args.join(' ')} ended with ${code}: ${printed}`)))
  })
  return child
}

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise(done => child.once('exit', code => done(code)))

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-custody-'))
  demo = await startUntil(['demo', '--cache', '1'], /Ctrl-C stops/)
})
after(async () => {
  const code = ended(demo)
  demo.kill('SIGINT')
  assert.equal(await code, 0, 'Ctrl-C ends the demo well')
  await rm(folder, { recursive: true, force: true })
})

const plan = 'holdfast-demo/plan.json'

test('compel: before and after the owner revokes', async () => {
  assert.equal((await run('custody', 'compel', '--plan', plan, '--prepare')).code, 0)
  const open = JSON.parse(
    (await run('custody', 'compel', '--plan', plan, '--model', 'HYOK', '--json')).stdout,
  ) as Record<string, CompelEvidence>
  const opened = (evidence: CompelEvidence | undefined, route: string): number | undefined =>
    evidence?.files.filter(file => file.attempts.some(attempt => attempt.route === route && attempt.ok)).length
  assert.equal(opened(open.HYOK, 'proxy'), open.HYOK?.files.length, 'while the owner allows it, the provider can ask')
  const revoked = await run('ekm', 'revoke', 'acme-hsm1/files', '--data', 'holdfast-demo/owner')
  assert.equal(revoked.code, 0, revoked.stderr)
  const closed = JSON.parse(
    (await run('custody', 'compel', '--plan', plan, '--model', 'HYOK', '--json')).stdout,
  ) as Record<string, CompelEvidence>
  for (const route of ['root-now', 'root-backup', 'data-service', 'proxy', 'replay', 'override'])
    assert.equal(opened(closed.HYOK, route), 0, route)
  assert.equal((await run('ekm', 'restore', 'acme-hsm1/files', '--data', 'holdfast-demo/owner')).code, 0)
})

test('drill and report', async () => {
  const drilled = await run('custody', 'drill', '--plan', plan, '--model', 'HYOK', '--out', 'mine.json', '--json')
  assert.equal(drilled.code, 0, drilled.stderr)
  const evidence = JSON.parse(readFileSync(join(folder, 'mine.json'), 'utf8')) as Evidence
  assert.equal(evidence.models[0]?.acts[0]?.usesAfter, 0)
  const printed = await run('custody', 'report', 'mine.json', '--json')
  assert.deepEqual(JSON.parse(drilled.stdout), JSON.parse(printed.stdout))
  const report = await run('custody', 'report', 'mine.json', '--html', 'mine.html')
  assert.equal(report.code, 1, 'what nobody tried is unknown, and the exit code says so')
  assert.match(report.stdout, /compelled provider +unknown/)
  assert.match(readFileSync(join(folder, 'mine.html'), 'utf8'), /Unknown: no attempt was made/)
  assert.equal((await run('custody', 'report', 'holdfast-demo/evidence.json', '--json')).code, 0)
})

test('a drill that is interrupted restores what it revoked', async () => {
  const drill = await startUntil(
    ['custody', 'drill', '--plan', plan, '--model', 'HYOK', '--out', 'cut.json'],
    /ekm revoke/,
  )
  const code = ended(drill)
  drill.kill('SIGINT')
  assert.equal(await code, 130)
  const { dataService, models } = loadPlan(join(folder, plan))
  const file = models.find(model => model.name === 'HYOK')?.files.find(one => !one.read)
  const response = await fetch(`${dataService.endpoint}/v1/hyok/${file?.name}`, {
    headers: { authorization: `Bearer ${dataService.token}` },
  })
  assert.equal(response.status, 200)
  await response.arrayBuffer()
})

test('what is wrong with a plan or an evidence file is said', async () => {
  const unknown = await run('custody', 'drill', '--plan', plan, '--model', 'nothing')
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /the plan has no model nothing; it has provider-managed/)
  const notEvidence = await run('custody', 'report', plan)
  assert.equal(notEvidence.code, 1)
  assert.match(notEvidence.stderr, /is no evidence/)
})
