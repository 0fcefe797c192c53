/**
 * Starts that go wrong: killed at any moment of them, and two at once. Whoever starts next finds everything that was acknowledged; whoever is second is told
 * so, with the folder's name.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { verifyFolder } from '../src/log/verify.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { holdfast } from './support/ekm.ts'
import { ApiClient, childrenOf, gone, Kms, ROOT, StartFailed, startKms } from './support/kms.ts'
import { seededRandom } from './support/random.ts'

const VICTIMS = ['boundary', 'frontEnd', 'supervisor'] as const
type Victim = (typeof VICTIMS)[number]

const folders: string[] = []
const running = new Set<ChildProcess>()
after(() => {
  for (const child of running) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-starts-'))
  folders.push(folder)
  return folder
}

/** A start of which every line is seen as it comes. */
class Start {
  readonly process: ChildProcess
  /** Resolves with the line of JSON, undefined where it ended before. */
  readonly line: Promise<string | undefined>
  readonly ended: Promise<number | null>
  readonly #output = { stdout: '', stderr: '' }

  constructor(data: string, onLogLine: (count: number) => void = () => {}) {
    const child = spawn(join(ROOT, 'bin', 'holdfast'), ['kms', '--dev', '--data', data], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    this.process = child
    this.ended = new Promise(resolve =>
      child.once('exit', code => {
        running.delete(child)
        resolve(code)
      }),
    )
    let count = 0
    createInterface({ input: child.stderr }).on('line', text => {
      this.#output.stderr += `${text}\n`
      onLogLine(++count)
    })
    const first = new Promise<string>(resolve => createInterface({ input: child.stdout }).once('line', resolve))
    this.line = Promise.race([first, this.ended.then(() => undefined)])
  }

  /** Kills one of its processes, if it is there yet. A supervisor takes its children with it. */
  async kill(victim: Victim): Promise<void> {
    const pid = this.process.pid ?? 0
    if (this.process.exitCode !== null) return
    const children = childrenOf(pid)
    const killed = victim === 'supervisor' ? pid : children[victim]
    // A line of its end comes when it has ended.
    if (killed === 0 || (victim === 'supervisor' && this.process.exitCode !== null)) return
    process.kill(killed, 'SIGKILL')
    if (victim !== 'supervisor') return
    await this.ended
    await Promise.all([gone(children.boundary), gone(children.frontEnd)])
  }

  async kms(): Promise<Kms> {
    const line = await this.line
    assert.ok(line !== undefined, `the start ended with ${this.process.exitCode}: ${this.#output.stderr}`)
    return new Kms(this.process, JSON.parse(line), this.#output)
  }
}

/** One key a start, and a message under each, all of which every later start must have. */
class Kept {
  readonly #messages: { readonly KeyId: string; readonly CiphertextBlob: string; readonly plaintext: string }[] = []

  async checkAndAdd(kms: Kms): Promise<void> {
    const client = new ApiClient(kms.line.endpoint, kms.line)
    for (const { CiphertextBlob, plaintext } of this.#messages)
      assert.equal((await client.ok('Decrypt', { CiphertextBlob })).Plaintext, plaintext)
    const { KeyId } = (await client.ok('CreateKey')).KeyMetadata
    const plaintext = Buffer.from(`message ${this.#messages.length}`).toString('base64')
    const { CiphertextBlob } = await client.ok('Encrypt', { KeyId, Plaintext: plaintext })
    this.#messages.push({ KeyId, CiphertextBlob, plaintext })
    client.close()
  }
}

async function endOf(kms: Kms, data: string): Promise<void> {
  await kms.stop()
  assert.equal((await verifyFolder(join(data, 'boundary'))).bad, undefined)
}

/** Starts, kills one process when `when` says so, and leaves a service that is ready: this one, or where its supervisor was killed the next. */
async function killedOnce(data: string, victim: Victim, at: { line: number } | { ms: number }): Promise<Kms> {
  let killed: Promise<void> | undefined
  const start = new Start(data, count => {
    if ('line' in at && count === at.line) killed ??= start.kill(victim)
  })
  if ('ms' in at) {
    await Promise.race([delay(at.ms), start.ended])
    killed = start.kill(victim)
  }
  await start.line
  await killed
  const kms = await (victim === 'supervisor' && start.process.signalCode !== null ? new Start(data) : start).kms()
  await healthy(kms)
  return kms
}

/** What was killed after the line was printed is away for a moment, and clients are told to come again. */
async function healthy({ line }: Kms): Promise<void> {
  for (;;) {
    const answer = await fetch(`${line.operations}/health/ready`).catch(() => undefined)
    if (answer?.ok === true) return
    await delay(20)
  }
}

/** Of a start: what it is for, the journal, the warning, ready, the store; and one that is never written. */
const LOG_LINES = 6

for (const victim of VICTIMS) {
  test(`promise 4: the ${victim} killed at each line that a start logs, and at any other moment: it starts with everything`, async t => {
    const data = newFolder()
    const random = seededRandom(t)
    const kept = new Kept()
    const moments = [
      ...Array.from({ length: LOG_LINES }, (_, n) => ({ line: n + 1 })),
      ...Array.from({ length: 4 }, () => ({ ms: Math.floor(random() * 900) })),
    ]
    for (const moment of moments) {
      const kms = await killedOnce(data, victim, moment)
      await kept.checkAndAdd(kms)
      await kms.killAll()
    }
    const last = await startKms(['--data', data])
    await kept.checkAndAdd(last)
    await endOf(last, data)
  })

  test(`the ${victim} killed during the very first start of a folder: the next start makes what is missing`, async t => {
    const random = seededRandom(t)
    for (let round = 0; round < 4; round++) {
      const data = newFolder()
      const kms = await killedOnce(data, victim, { ms: 150 + Math.floor(random() * 500) })
      await new Kept().checkAndAdd(kms)
      await endOf(kms, data)
    }
  })
}

test('two starts at once in a folder that was never used: one is ready, the other is told that it is in use', async () => {
  for (let round = 0; round < 3; round++) {
    const data = newFolder()
    const starts = [new Start(data), new Start(data)]
    const lines = await Promise.all(starts.map(start => start.line))
    assert.equal(lines.filter(line => line !== undefined).length, 1, `round ${round}: ${lines}`)
    const [first, second] = lines[0] === undefined ? [starts[1], starts[0]] : starts
    assert.ok(first !== undefined && second !== undefined)
    assert.equal(await second.ended, 75)
    const kms = await first.kms()
    await new Kept().checkAndAdd(kms)
    await endOf(kms, data)
  }
})

test('a second start is refused by name, for either service, and the first goes on', async () => {
  const data = newFolder()
  const kms = await startKms(['--data', data])
  const kept = new Kept()
  await kept.checkAndAdd(kms)
  await assert.rejects(startKms(['--data', data]), (error: unknown) => {
    assert.ok(error instanceof StartFailed)
    assert.equal(error.exitCode, 75)
    const last = error.stderr.trimEnd().split('\n').at(-1)
    assert.equal(
      last,
      `holdfast kms: another boundary has ${join(data, 'boundary')} open: stop it, or choose another folder`,
    )
    return true
  })
  const other = await holdfast(['ekm', '--dev', '--data', data])
  assert.equal(other.code, 75)
  await kept.checkAndAdd(kms)
  await endOf(kms, data)
})

test('a store that another process writes is refused by name', async () => {
  const data = newFolder()
  const first = await startKms(['--data', data])
  await first.stop()
  const file = join(data, 'front-end', 'store.db')
  const store = await openSqliteStore({ file })
  const refused = await holdfast(['kms', '--dev', '--data', data])
  assert.equal(refused.code, 75)
  assert.match(refused.stderr, /another process has this store open for writing \(\S+store\.db\.lock\)/)
  await store.close()
  const again = await startKms(['--data', data])
  await endOf(again, data)
})
