/**
 * M of N shares as root of trust, on the real `holdfast kms`: made from a key file, taken, tried and given by holders who are processes of their own; with
 * the boundary killed at every step.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { KMS } from '@aws-sdk/client-kms'
import { Command } from 'commander'
import { connectControl } from '../src/boundary/client/control.ts'
import { parseRootFile } from '../src/boundary/root/rootfile.ts'
import { BoundaryError } from '../src/boundary/words.ts'
import { registerRoot } from '../src/cli/root.ts'
import { registerUnlock } from '../src/cli/unlock.ts'
import { contains, filesBelow } from './support/canaries.ts'
import { readRecords } from './support/journal.ts'
import { type Credentials, gone, ROOT } from './support/kms.ts'
import { memoryOf } from './support/memory.ts'
import { holdfast, newKey, refusalOf, sdk } from './support/sdk.ts'
import { type Ended, LINE, Terminal, typed } from './support/shares.ts'

const REGION = 'eu-central-1'
const SHARES = { kind: 'shares' } as const

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-shares-'))
})
after(() => rmSync(folder, { recursive: true, force: true }))

/** A service on a folder of its own, with one key and what it has encrypted. */
class Service {
  readonly name: string
  readonly data: string
  child: ChildProcess | undefined
  /** Of all its starts. */
  said = ''
  #ready: { endpoint: string; pid: number } = { endpoint: '', pid: 0 }
  #credentials: Credentials | undefined
  #kept: Uint8Array = new Uint8Array()

  constructor(name: string) {
    this.name = name
    this.data = join(folder, name)
  }

  /** Resolves with its exit code where it ends instead of becoming ready. */
  async start(root: object): Promise<number | undefined> {
    const file = join(folder, `${this.name}.json`)
    const config = { data: this.data, listen: { port: 0 }, regions: [REGION], boundary: { root } }
    writeFileSync(file, JSON.stringify(config))
    const child = spawn(join(ROOT, 'bin/holdfast'), ['kms', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stderr.on('data', chunk => {
      this.said += String(chunk)
    })
    this.child = child
    return new Promise(done => {
      createInterface({ input: child.stdout }).once('line', line => {
        this.#ready = JSON.parse(line)
        done(undefined)
      })
      child.once('exit', code => done(code ?? -1))
    })
  }

  get keyFile(): { kind: 'keyfile'; file: string } {
    return { kind: 'keyfile', file: join(folder, `${this.name}.root`) }
  }

  /** Its first start, on a key file: the first principal as the service says, a key, and a ciphertext. */
  async begin(): Promise<this> {
    assert.equal(await this.start(this.keyFile), undefined, this.said)
    for (const end = Date.now() + 20_000; !this.said.includes('aws kms create-key'); await delay(10))
      assert.ok(Date.now() < end, this.said)
    let shown = ''
    for (const [, command = ''] of this.said.matchAll(/^ {2}holdfast (.*)$/gm))
      shown = (await holdfast(...command.split(' '))).stdout
    const found = /(AKIA[A-Z2-7]{16})[\s\S]*?([A-Za-z0-9+/]{40})/.exec(shown)
    this.#credentials = { accessKeyId: found?.[1] ?? '', secretAccessKey: found?.[2] ?? '' }
    await this.#with(async kms => {
      const { id: KeyId } = await newKey(kms)
      this.#kept = (await kms.encrypt({ KeyId, Plaintext: Buffer.from('kept') })).CiphertextBlob ?? new Uint8Array()
    })
    return this
  }

  async #with(use: (kms: KMS) => Promise<void>): Promise<void> {
    assert.ok(this.#credentials)
    const kms = sdk(this.#ready.endpoint, this.#credentials, REGION)
    await use(kms).finally(() => kms.destroy())
  }

  /** What was encrypted at the beginning decrypts, and a new key works; as soon as the front end has noticed that it is unlocked. */
  async works(): Promise<void> {
    await this.#with(async kms => {
      const decrypted = () => kms.decrypt({ CiphertextBlob: this.#kept })
      for (const end = Date.now() + 20_000; (await refusalOf(decrypted())) !== undefined; await delay(20))
        assert.ok(Date.now() < end, this.said)
      assert.equal(Buffer.from((await decrypted()).Plaintext ?? []).toString(), 'kept')
      const { id: KeyId } = await newKey(kms)
      await kms.encrypt({ KeyId, Plaintext: Buffer.from('new') })
    })
  }

  async refusesUses(): Promise<void> {
    await this.#with(async kms => {
      const refusal = await refusalOf(kms.decrypt({ CiphertextBlob: this.#kept }))
      assert.equal(refusal?.status, 500)
    })
  }

  get boundary(): number {
    const children = readFileSync(`/proc/${this.#ready.pid}/task/${this.#ready.pid}/children`, 'utf8').trim().split(' ')
    const found = children.find(pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/service/main'))
    assert.ok(found)
    return Number(found)
  }

  /** Which set of shares the root file says. */
  setInForce(): string {
    const { kind, parameters } = parseRootFile(readFileSync(join(this.data, 'boundary', 'root')))
    assert.equal(kind, 'shares')
    return parameters.toString('hex')
  }

  control() {
    return connectControl({ socket: join(this.data, 'boundary', 'control.sock') })
  }

  /** Kills the boundary; resolves when its supervisor has started another one. */
  async killBoundary(): Promise<void> {
    const killed = this.boundary
    process.kill(killed, 'SIGKILL')
    await gone(killed)
    for (const end = Date.now() + 20_000; ; await delay(20)) {
      const control = this.control()
      const status = await control.status().catch(error => {
        if (!(error instanceof BoundaryError)) throw error
      })
      control.close()
      if (status !== undefined && status.pid !== killed) return
      assert.ok(Date.now() < end, this.said)
    }
  }

  async stop(): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(done => child.once('exit', done))
    child.kill('SIGTERM')
    await ended
  }

  root(...args: readonly string[]): string[] {
    return ['root', args[0] ?? '', '--data', this.data, ...args.slice(1)]
  }

  /** Shares for so many holders, as scripts would take them. */
  async split(threshold: number, count: number): Promise<{ code: string; lines: string[] }> {
    const printed = ['--json', '--insecure-share-on-stdout']
    const first = JSON.parse(
      success(await typed(this.root('split', '--threshold', `${threshold}`, '--shares', `${count}`, ...printed))),
    )
    const lines = [first.share]
    while (lines.length < count)
      lines.push(
        JSON.parse(success(await typed(this.root('take-share', '--ceremony', first.ceremony, ...printed)))).share,
      )
    return { code: first.ceremony, lines }
  }

  confirm(code: string, line: string | undefined): Promise<Ended> {
    return typed(this.root('confirm-share', '--ceremony', code), line)
  }

  unlock(line: string | undefined, code?: string): Promise<Ended> {
    return typed(['unlock', '--data', this.data, ...(code === undefined ? [] : ['--ceremony', code])], line)
  }

  /** All of these holders, one after the other. */
  async unlockBy(lines: readonly (string | undefined)[]): Promise<string> {
    let [said, code]: [string, string | undefined] = ['', undefined]
    for (const line of lines) {
      said = success(await this.unlock(line, code))
      code ??= codeIn(said)
    }
    return said
  }
}

function success({ code, stdout, stderr }: Ended): string {
  assert.equal(code, 0, stderr)
  return stdout
}
const refusedWith = (pattern: RegExp, { code, stdout, stderr }: Ended): void => {
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, pattern)
}
const codeIn = (text: string): string => /--ceremony (\w{4}-\w{4})/.exec(text)?.[1] ?? assert.fail(text)

/** The arguments of every process that there is. */
const commandLines = (): string =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        return ''
      }
    })
    .join('\n')

/** The line in its parts: what stands in it for its holder alone. */
function secretOf(line: string): Buffer {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const letters = [...line.replace(/^\S+ /, '').replaceAll('-', '')]
  const bits = letters.map(one => alphabet.indexOf(one).toString(2).padStart(5, '0')).join('')
  return Buffer.from((bits.match(/.{8}/g) ?? []).map(one => Number.parseInt(one, 2))).subarray(27, 59)
}

test('every command of docs/shares.md is one, with its options', async () => {
  const program = new Command()
  registerRoot(program)
  registerUnlock(program)
  const page = readFileSync(join(ROOT, 'docs', 'shares.md'), 'utf8')
  const commands = page.split('\n').filter(line => line.startsWith('./bin/holdfast '))
  assert.ok(commands.length >= 9)
  for (const line of commands) {
    const words = line.split(' ').slice(1)
    let command: Command = program
    for (const word of words) command = command.commands.find(each => each.name() === word) ?? command
    const options = new Set(command.options.map(({ long }) => long))
    for (const option of words.filter(word => word.startsWith('--'))) assert.ok(options.has(option), line)
    for (const { long } of command.options.filter(({ mandatory }) => mandatory))
      assert.ok(words.includes(long ?? ''), line)
  }
})

describe('shares on terminals of their holders', () => {
  const service = { is: undefined as Service | undefined }
  let lines: string[] = []
  const at = (): Service => service.is ?? assert.fail('not started')
  before(async () => {
    service.is = await new Service('holders').begin()
  })
  after(() => service.is?.stop())

  test('each holder sees one share, once, on a screen that is not kept; two of three on trial, and they are in force', async () => {
    refusedWith(/shown on a terminal only/, await typed(at().root('split', '--threshold', '2', '--shares', '3')))
    refusedWith(
      /at least 2 of at most 16/,
      await typed(at().root('split', '--threshold', '1', '--shares', '3', '--insecure-share-on-stdout')),
    )
    assert.match(success(await typed(at().root('ceremony'))), /No ceremony is under way/)

    const first = new Terminal(at().root('split', '--threshold', '2', '--shares', '3'))
    lines = [await first.shows(LINE)]
    await first.shows(/press Enter/)
    assert.doesNotMatch(commandLines(), /holdfast-share-1/)
    assert.ok(first.screen.indexOf('\x1b[?1049h') < first.screen.indexOf('holdfast-share-1'))
    first.type('\r')
    const code = codeIn(await first.shows(/take-share --data \S+ --ceremony \S+/))
    assert.equal(await first.ended(), 0)
    assert.ok(first.screen.indexOf('\x1b[?1049l') > first.screen.indexOf('press Enter'))

    for (const _ of [2, 3]) {
      const holder = new Terminal(at().root('take-share', '--ceremony', code))
      lines.push(await holder.shows(LINE))
      await holder.shows(/press Enter/)
      holder.type('\r')
      assert.equal(await holder.ended(), 0)
    }
    assert.equal(new Set(lines).size, 3)
    refusedWith(
      /every share has been taken/,
      await typed(at().root('take-share', '--ceremony', code, '--insecure-share-on-stdout')),
    )
    refusedWith(/no ceremony with this code/, await typed(at().root('cancel-ceremony', '--ceremony', 'AAAA-AAAA')))

    const giving = new Terminal(at().root('confirm-share', '--ceremony', code))
    await giving.shows(/Share: /)
    giving.type(`${lines[0]}\r`)
    await giving.shows(/1 of 2 shares/)
    assert.equal(await giving.ended(), 0)
    assert.doesNotMatch(giving.screen, LINE, 'no echo')
    assert.match(success(await typed(at().root('ceremony'))), /all 3 were taken, and 1 of 2 were given back/)
    refusedWith(/given already/, await at().confirm(code, lines[0]))
    assert.match(success(await at().confirm(code, lines[2])), /in force.*\n.*kind: shares/)
    await at().works()
    await at().stop()
  })

  test('the next start wants shares, and any two of the three open it', async () => {
    assert.equal(await at().start(at().keyFile), 64)
    assert.match(at().said, /of kind shares, not keyfile: set boundary.root to \{ kind: shares \}/)
    assert.equal(await at().start(SHARES), undefined, at().said)
    for (const [a, b] of [
      [0, 1],
      [2, 0],
      [1, 2],
    ] as const) {
      await at().refusesUses()
      assert.match(await at().unlockBy([lines[a], lines[b]]), /^Unlocked/)
      await at().works()
      assert.match(success(await at().unlock('')), /It is not locked/)
      await at().killBoundary()
    }
  })

  test('on terminals too, without echo; the code is asked for before the share is', async () => {
    const first = new Terminal(['unlock', '--data', at().data])
    await first.shows(/Share: /)
    first.type(`${lines[1]}\r`)
    const code = codeIn(await first.shows(/--ceremony \S+/))
    assert.equal(await first.ended(), 0)
    const status = JSON.parse(success(await typed(['unlock', '--data', at().data, '--status', '--json'])))
    assert.deepEqual(
      [status.locked, status.rootKind, status.ceremony.given, status.ceremony.needed],
      [true, 'shares', 1, 2],
    )
    const second = new Terminal(['unlock', '--data', at().data])
    assert.equal(await second.ended(), 1)
    assert.doesNotMatch(second.screen, /Share:/)
    assert.match(second.screen, /give it with --ceremony CODE/)
    const third = new Terminal(['unlock', '--data', at().data, '--ceremony', code])
    await third.shows(/Share: /)
    third.type(`${lines[0]}\r`)
    await third.shows(/Unlocked/)
    assert.equal(await third.ended(), 0)
    assert.doesNotMatch(first.screen + third.screen, /[A-Z2-7]{6}-[A-Z2-7]{6}/, 'no echo')
    await at().works()
    await at().killBoundary()
  })

  test('wrong, repeated, foreign and mistyped shares; cancelled with the code, and not without', async () => {
    const stranger = await new Service('stranger').begin()
    const foreign = (await stranger.split(2, 2)).lines[0]
    await stranger.stop()
    refusedWith(/another boundary/, await at().unlock(foreign))
    refusedWith(/no share, or a letter/, await at().unlock(lines[0]?.slice(0, -1)))
    const code = codeIn(success(await at().unlock(lines[0])))
    refusedWith(/given already/, await at().unlock(lines[0], code))
    refusedWith(/another boundary/, await at().unlock(foreign, code))
    refusedWith(/no ceremony with this code/, await at().unlock(lines[1], 'AAAA-AAAA'))
    const cancel = (with_: string) => typed(['unlock', '--data', at().data, '--cancel', '--ceremony', with_])
    refusedWith(/no ceremony with this code/, await cancel('AAAA-AAAA'))
    assert.match(success(await typed(['unlock', '--data', at().data, '--status'])), /It is locked.*1 of 2 shares/)
    assert.match(success(await cancel(code)), /Cancelled/)
    refusedWith(/no ceremony with this code/, await at().unlock(lines[1], code))
    await at().refusesUses()
    assert.match(await at().unlockBy([lines[2], lines[1]]), /^Unlocked/)
    await at().works()
  })

  test('no share is in a file, in what the service has said, or in a record; the values of one that was given and forgotten are not in the memory of the boundary', async () => {
    await at().killBoundary()
    const code = codeIn(success(await at().unlock(lines[0])))
    success(await typed(['unlock', '--data', at().data, '--cancel', '--ceremony', code]))
    const values = secretOf(lines[0] ?? '')
    assert.ok(![...memoryOf(at().boundary)].some(part => part.includes(values)))
    success(await at().unlock(lines[2]))
    await at().killBoundary()
    assert.match(
      success(await typed(['unlock', '--data', at().data, '--status'])),
      /It is locked.*No ceremony is under way/,
    )
    await at().unlockBy([lines[0], lines[1]])
    await at().works()
    await at().stop()
    for (const { name, content } of [...filesBelow(at().data), { name: 'stderr', content: Buffer.from(at().said) }])
      for (const line of lines)
        for (const secret of [secretOf(line), Buffer.from(line.slice(-60))]) assert.ok(!contains(content, secret), name)
    const said = readRecords(at().data).map(({ record }) => `${record.boundaryOperation} ${record.transition ?? ''}`)
    assert.ok(said.includes('splitRoot keyfile>shares 2 of 3'))
    assert.ok(said.filter(one => one.startsWith('unlock')).length >= 5)
  })
})

describe('the boundary killed (kill -9) in the middle of a split', () => {
  test('at every step before the end: the key file stays in force, and the ceremony is over', async () => {
    const service = await new Service('killed').begin()
    try {
      const control = () => service.control()
      /** How far each attempt comes. */
      for (const steps of ['split', 'one taken', 'all taken', 'one confirmed'] as const) {
        const one = control()
        const { ceremony, share } = await one.splitRoot(2, 3)
        if (steps !== 'split') await one.takeShare(ceremony)
        if (steps === 'all taken' || steps === 'one confirmed') await one.takeShare(ceremony)
        if (steps === 'one confirmed') assert.equal((await one.confirmShare(ceremony, Buffer.from(share))).given, 1)
        one.close()
        await service.killBoundary()
        const two = control()
        assert.equal(await two.ceremony(), undefined)
        const { rootKind, locked } = await two.status()
        assert.deepEqual([rootKind, locked], ['keyfile', false], steps)
        two.close()
        refusedWith(/no ceremony with this code/, await service.confirm(ceremony, share.toString('latin1')))
        await service.works()
      }
    } finally {
      await service.stop()
    }
  })

  test('while the new shares come into force: either these are in force or the old ones, and open everything', async () => {
    const service = await new Service('entering').begin()
    try {
      let lines = await splitBy(service)
      await service.stop()
      assert.equal(await service.start(SHARES), undefined, service.said)
      const outcomes = new Set<string>()
      for (const milliseconds of [0, 1, 2, 3, 100]) {
        await unlockBy(service, lines)
        await service.works()
        const before = service.setInForce()
        const next = await splitBy(service, async last => {
          const ended = last.catch(() => {})
          await delay(milliseconds)
          await service.killBoundary()
          await ended
        })
        const changed = service.setInForce() !== before
        outcomes.add(changed ? 'new' : 'old')
        if (changed) lines = next
      }
      assert.ok(outcomes.has('new'), 'the last one had time enough')
      await unlockBy(service, lines)
      await service.works()
    } finally {
      await service.stop()
    }
  })
})

/** Two shares, both tried, over the socket; with `meanwhile` while the last of them comes into force. */
async function splitBy(service: Service, meanwhile = async (last: Promise<unknown>) => void (await last)) {
  const control = service.control()
  while ((await control.rootStatus()).generations.length > 1) await delay(20)
  const { ceremony, share } = await control.splitRoot(2, 2)
  const other = (await control.takeShare(ceremony)).share
  await control.confirmShare(ceremony, share)
  await meanwhile(control.confirmShare(ceremony, other))
  control.close()
  return [share, other]
}

async function unlockBy(service: Service, [a, b]: readonly Buffer[]): Promise<void> {
  const control = service.control()
  assert.ok(a && b)
  const { ceremony } = await control.giveShare('', a)
  assert.equal((await control.giveShare(ceremony, b)).done, true)
  control.close()
}
