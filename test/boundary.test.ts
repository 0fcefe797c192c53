/**
 * The boundary as real processes, and attempts to break the promises of the design that it keeps: 1, 2, 3, 4, 11 and 12.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import type { KeyRow } from '../src/boundary/client/api.ts'
import { connectControl } from '../src/boundary/client/control.ts'
import { EXIT_CODES } from '../src/boundary/config.ts'
import { readKeyHeader } from '../src/boundary/crypto/sealed.ts'
import { ServiceFailed, startService } from '../src/boundary/supervisor/supervisor.ts'
import { BoundaryError, type Row } from '../src/boundary/words.ts'
import { configOf, fails, keyId, newKey, type Running, run, temporaryFolder } from './boundary/harness.ts'

const folders: string[] = []
const folder = (): string => {
  const made = temporaryFolder()
  folders.push(made)
  return made
}
after(() => {
  for (const each of folders) fs.rmSync(each, { recursive: true, force: true })
})

const kill = (running: Running, which: 'boundary' | 'frontEnd'): void => {
  const pid = running.service.pids()[which]
  assert.ok(pid !== undefined)
  process.kill(pid, 'SIGKILL')
}

const header = (row: Row) => readKeyHeader(row.body ?? Buffer.alloc(0))

/** Resolves when a condition holds; looks again at every turn of the event loop. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setImmediate(resolve))
}

/** Reproducible randomness: its seed is printed with the test. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

describe('promise 4: acknowledged means durable', () => {
  test('the boundary is killed under load, many times, and nothing acknowledged is lost or half made', async t => {
    const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 1e9))
    t.diagnostic(`HOLDFAST_SEED=${seed}`)
    const random = randomOf(seed)
    const running = await run(t, folder())
    const { use } = running
    /** The newest row of each key that was acknowledged. */
    const acknowledged = new Map<string, KeyRow>()
    /** Keys with a transition under way, whose outcome is unknown when the boundary dies. */
    const unknown = new Set<string>()
    let records = 1
    let next = 0
    for (let round = 0; round < 12; round++) {
      let working = true
      const worker = async (): Promise<void> => {
        while (working) {
          const free = [...acknowledged.keys()].filter(id => !unknown.has(id))
          const id = free[Math.floor(random() * free.length)]
          try {
            if (id === undefined || random() < 0.15) {
              const made = keyId(++next)
              unknown.add(made)
              acknowledged.set(made, await newKey(use, next))
              unknown.delete(made)
            } else {
              const row = acknowledged.get(id)
              assert.ok(row)
              if (random() < 0.5) {
                await use.encrypt(row, Buffer.from('x'), [], {})
              } else {
                unknown.add(id)
                const policy = Buffer.from(`{"round":${round},"n":${random()}}`)
                const change = random()
                acknowledged.set(
                  id,
                  change < 0.34
                    ? await use.disableKey(id, {})
                    : change < 0.67
                      ? await use.enableKey(id, {})
                      : await use.putKeyPolicy(id, policy, {}),
                )
                unknown.delete(id)
              }
            }
            records++
          } catch (error) {
            if (!(error instanceof BoundaryError)) throw error
            if (error.code === 'Unavailable') return
            // A key in use while another worker changes it is stale, and has no record; a disabled one has.
            assert.ok(['StaleKey', 'KeyDisabled'].includes(error.code), error.message)
            if (error.code === 'KeyDisabled') records++
          }
        }
      }
      const workers = Array.from({ length: 16 }, worker)
      const enough = records + 20 + Math.floor(random() * 400)
      await until(() => records >= enough)
      kill(running, 'boundary')
      working = false
      await Promise.all(workers)
      await running.connected()
      const status = await use.status()
      assert.ok(status.logSize >= records, `${status.logSize} records are there of ${records} acknowledged`)
      for (const [id, row] of acknowledged) {
        const stored = running.rows.get(`key ${id}`)
        assert.ok(stored, `round ${round}: an acknowledged key is gone`)
        assert.ok(stored.revision === row.revision || (unknown.has(id) && stored.revision === row.revision + 1))
        acknowledged.set(id, stored as KeyRow)
      }
      const rows = [...running.rows.values()]
      const checked = await use.checkRows(rows)
      assert.ok(
        checked.every(each => each === 'ok'),
        'every row that the write sets gave is the newest',
      )
      for (const row of rows) {
        if (row.kind !== 'policy') continue
        const key = running.rows.get(`key ${row.id}`)
        assert.ok(key && row.body)
        const digest = createHash('sha256').update(row.body).digest()
        assert.deepEqual(header(key).policyDigest, digest, 'key and policy of one transition are both there')
      }
      for (const id of unknown) {
        const row = running.rows.get(`key ${id}`)
        if (row !== undefined) acknowledged.set(id, row as KeyRow)
        unknown.delete(id)
      }
    }
    await running.stop()
  })

  test('the front end dies and is started anew; the boundary goes on', async t => {
    const running = await run(t, folder())
    const before = running.service.pids()
    const key = await newKey(running.use, 1)
    kill(running, 'frontEnd')
    await until(() => {
      const { frontEnd } = running.service.pids()
      return frontEnd !== undefined && frontEnd !== before.frontEnd
    })
    assert.equal(running.service.pids().boundary, before.boundary)
    await running.use.encrypt(key, Buffer.from('x'), [], {})
    await running.stop()
    assert.equal(await running.service.ended, 0)
  })

  test('while the boundary is away every request fails at once, and goes on when it is back', async t => {
    const running = await run(t, folder())
    const key = await newKey(running.use, 1)
    kill(running, 'boundary')
    await until(() => !running.use.connected)
    const started = performance.now()
    await assert.rejects(running.use.encrypt(key, Buffer.from('x'), [], {}), fails('Unavailable'))
    assert.ok(performance.now() - started < 100)
    await running.connected()
    await running.use.encrypt(key, Buffer.from('x'), [], {})
    await running.stop()
  })

  test('a second boundary on the same folder does not start, and one that was killed leaves no lock', async t => {
    const at = folder()
    const running = await run(t, at)
    const second = startService({
      boundary: configOf(at),
      frontEnd: { entry: path.join(import.meta.dirname, 'boundary', 'front-end.ts'), config: {} },
      log: () => {},
    })
    await assert.rejects(second.ready, error => {
      assert.ok(error instanceof ServiceFailed)
      assert.equal(error.exitCode, EXIT_CODES.inUse)
      assert.match(error.message, /another boundary has .* open/)
      return true
    })
    assert.equal(await second.ended, EXIT_CODES.inUse)
    assert.equal((await running.use.status()).service, 'kms')
    await running.stop()
  })
})

describe('promise 2: nothing is used without a record', () => {
  test('every use, allowed or refused, makes the log one longer before it is answered', async t => {
    const running = await run(t, folder())
    const { use } = running
    const key = await newKey(use, 1)
    const size = async () => (await use.status()).logSize
    const steps: [string, () => Promise<unknown>][] = [
      ['encrypt', () => use.encrypt(key, Buffer.from('x'), [], {})],
      ['generateDataKey', () => use.generateDataKey(key, 32, true, [], {})],
      ['generateRandom', () => use.generateRandom(8, {})],
      [
        'decrypt of nothing',
        () => assert.rejects(use.decrypt(key, Buffer.from('x'), [], {}), fails('InvalidCiphertext')),
      ],
      [
        'denied above',
        () => use.record({ outcome: 'denied', error: 'AccessDenied', keyId: key.id, asserted: {}, count: 0 }),
      ],
      ['refused transition', () => assert.rejects(use.cancelKeyDeletion(key.id, {}), fails('InvalidState'))],
      ['transition', () => use.disableKey(key.id, {})],
    ]
    for (const [what, step] of steps) {
      const before = await size()
      await step()
      assert.equal(await size(), before + 1, what)
    }
    await running.stop()
  })
})

describe('promise 12: the database is not trusted', () => {
  test('a row edited, rolled back or resurrected enables nothing, before and after a restart', async t => {
    const running = await run(t, folder())
    const { use, control } = running
    const enabled = await newKey(use, 1)
    const message = (await use.encrypt(enabled, Buffer.from('secret'), [], {})).ciphertext
    const disabled = await use.disableKey(enabled.id, {})
    const doomed = await newKey(use, 2)
    await use.scheduleKeyDeletion(doomed.id, 7, {})
    await control.advanceClock(8 * 86_400_000)
    for (const restarted of [false, true]) {
      if (restarted) {
        kill(running, 'boundary')
        await until(() => !use.connected)
        await running.connected()
      }
      const rolledBack = use.decrypt(enabled, message, [], {})
      await assert.rejects(rolledBack, error => {
        fails('StaleKey')(error)
        assert.deepEqual((error as BoundaryError).row, disabled)
        return true
      })
      for (let at = 0; at < (disabled.body?.length ?? 0); at += 7) {
        const body = Buffer.from(disabled.body ?? '')
        body.writeUInt8(body.readUInt8(at) ^ 0x01, at)
        await assert.rejects(use.decrypt({ ...disabled, body }, message, [], {}), fails('StaleKey'))
      }
      // The old body under the new revision, and the new tag on the old body.
      await assert.rejects(use.decrypt({ ...enabled, revision: 2 }, message, [], {}), fails('StaleKey'))
      await assert.rejects(use.decrypt({ ...disabled, body: enabled.body }, message, [], {}), fails('StaleKey'))
      await assert.rejects(use.encrypt(doomed, Buffer.from('x'), [], {}), fails('KeyGone'))
      await assert.rejects(use.decrypt(disabled, message, [], {}), fails('KeyDisabled'))
      assert.deepEqual(await use.checkRows([enabled, disabled]), [disabled, 'ok'])
    }
    await running.stop()
  })
})

describe('promise 11: bad input costs nothing', () => {
  test('hostile clients are cut off and the process lives', async t => {
    const running = await run(t, folder())
    const pid = running.service.pids().boundary
    const random = randomOf(7)
    const file = path.join(running.folder, 'boundary', 'use.sock')
    const hello = Buffer.from([0, 0, 0, 11, 0, 0, 0, 0, 0, ...Buffer.from('HLDF'), 0, 1])
    for (let i = 0; i < 60; i++) {
      await new Promise<void>(resolve => {
        const socket = net.connect(file)
        socket.on('error', () => {})
        socket.on('data', () => {})
        socket.once('close', () => resolve())
        const garbage = Buffer.from(
          Array.from({ length: 1 + Math.floor(random() * 300) }, () => Math.floor(random() * 256)),
        )
        if (i % 3 === 0) socket.end(garbage)
        else if (i % 3 === 1) socket.end(Buffer.concat([hello, garbage]))
        else {
          // A frame of the right length whose operation and body are random.
          const head = Buffer.alloc(8)
          head.writeUInt32BE(garbage.length + 4, 0)
          socket.end(Buffer.concat([hello, head, garbage]))
        }
      })
    }
    assert.equal(running.service.pids().boundary, pid)
    assert.equal((await running.use.status()).pid, pid)
    await running.stop()
  })
})

describe('promise 1: key material never leaves the boundary in the clear', () => {
  test('neither a sealed row, nor the journal, nor an error holds the material of an imported key', async t => {
    const running = await run(t, folder())
    const { use } = running
    const secret = Buffer.from('canary-canary-canary-canary-3210')
    const [row] = await use.putRows(
      [{ kind: 'keystore-credential', id: 'store', scope: '1', link: '', expected: 0, body: secret }],
      {},
    )
    assert.ok(row)
    assert.deepEqual(await use.openSecret(row), secret)
    await running.stop()
    for (const name of fs.readdirSync(running.folder, { recursive: true, encoding: 'utf8' })) {
      const file = path.join(running.folder, name)
      if (fs.statSync(file).isFile()) assert.ok(!fs.readFileSync(file).includes('canary'), file)
    }
  })
})

describe('the process', () => {
  test('a passphrase: locked until it is given, wrong ones are slowed down', async () => {
    const at = folder()
    const config = { ...configOf(at), root: { kind: 'passphrase' } as const }
    const start = () =>
      startService({
        boundary: config,
        frontEnd: {
          entry: path.join(import.meta.dirname, 'boundary', 'front-end.ts'),
          config: { socket: path.join(config.folder, 'use.sock') },
        },
        log: () => {},
      })
    for (const first of [true, false]) {
      const service = start()
      await service.ready
      const control = connectControl({ socket: path.join(config.folder, 'control.sock') })
      assert.equal((await control.status()).locked, true)
      await assert.rejects(control.getRow('key', 'x'), fails('Locked'))
      if (first) await assert.rejects(control.unlock(Buffer.from('short')), fails('InvalidRequest'))
      else {
        await assert.rejects(control.unlock(Buffer.from('not the passphrase')), fails('WrongPassphrase'))
        await assert.rejects(control.unlock(Buffer.from('correct horse battery')), fails('LimitExceeded'))
        await new Promise(resolve => setTimeout(resolve, 1050))
      }
      await control.unlock(Buffer.from('correct horse battery'))
      assert.equal((await control.status()).locked, false)
      control.close()
      await service.stop()
    }
  })

  test('paths longer than a socket address are reached', async t => {
    const at = path.join(folder(), 'x'.repeat(120))
    fs.mkdirSync(at)
    const running = await run(t, at)
    await newKey(running.use, 1)
    assert.equal((await running.control.status()).keys, 1)
    await running.stop()
  })

  test('an administrator stops it: the service ends with 0', async t => {
    const running = await run(t, folder())
    await running.control.stop()
    assert.equal(await running.service.ended, 0)
    running.use.close()
    running.control.close()
  })

  test('files and folder are closed to others, and an open folder is refused', async t => {
    const at = folder()
    const running = await run(t, at)
    await newKey(running.use, 1)
    await running.stop()
    const top = path.join(at, 'boundary')
    for (const name of ['', ...fs.readdirSync(top, { recursive: true, encoding: 'utf8' })]) {
      const mode = fs.statSync(path.join(top, name)).mode & 0o777
      assert.equal(mode & 0o077, 0, `${name} has mode ${mode.toString(8)}`)
    }
    fs.chmodSync(top, 0o755)
    const again = startService({
      boundary: configOf(at),
      frontEnd: { entry: path.join(import.meta.dirname, 'boundary', 'front-end.ts'), config: {} },
      log: () => {},
    })
    await assert.rejects(again.ready, /chmod 700/)
    await again.ended
  })
})
