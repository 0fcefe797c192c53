import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LOG_FIELDS, openLog, placeOf } from './logging.ts'
import { type Health, Metrics, startOperations } from './metrics.ts'

describe("the operator's listener", () => {
  it('serves metrics and health, on loopback only', async () => {
    const metrics = new Metrics('kms')
    let health: Health = { ready: true, detail: { boundary: 'answers' } }
    metrics.gauge('replica_rows', 'Rows in memory', () => 42)
    metrics.refused('api', 'TooLarge')
    metrics.requests.observe('Encrypt', 'ok', 0.0007)
    metrics.requests.observe('Encrypt', 'ok', 0.3)
    metrics.requests.observe('Encrypt', 'AccessDeniedException', 99)
    const listener = await startOperations({
      port: 0,
      metrics,
      health: () => health,
      routes: { '/ping': () => ({ status: 200, headers: {}, body: '' }) },
    })
    metrics.watch(listener)
    const get = async (path: string, init?: RequestInit) => {
      const response = await fetch(`${listener.url}${path}`, init)
      return { status: response.status, type: response.headers.get('content-type'), body: await response.text() }
    }
    const { status, type, body } = await get('/metrics')
    assert.equal(status, 200)
    assert.match(type ?? '', /^text\/plain; version=0\.0\.4/)
    for (const line of [
      '# TYPE holdfast_request_seconds histogram',
      'holdfast_request_seconds_bucket{operation="Encrypt",outcome="ok",le="0.0005",service="kms"} 0',
      'holdfast_request_seconds_bucket{operation="Encrypt",outcome="ok",le="0.001",service="kms"} 1',
      'holdfast_request_seconds_bucket{operation="Encrypt",outcome="ok",le="+Inf",service="kms"} 2',
      'holdfast_request_seconds_count{operation="Encrypt",outcome="AccessDeniedException",service="kms"} 1',
      'holdfast_refused_total{listener="api",reason="TooLarge",service="kms"} 1',
      'holdfast_replica_rows{service="kms"} 42',
      'holdfast_operations_in_flight{service="kms"} 1',
    ]) {
      assert.ok(body.split('\n').includes(line), line)
    }
    assert.match(body, /process_resident_memory_bytes/)
    assert.deepEqual(await get('/health/live'), { status: 200, type: 'text/plain; charset=utf-8', body: 'live\n' })
    assert.equal((await get('/health/ready')).body, '{"ready":true,"boundary":"answers"}')
    health = { ready: false, detail: { boundary: 'locked' } }
    assert.deepEqual(await get('/health/ready'), {
      status: 503,
      type: 'application/json',
      body: '{"ready":false,"boundary":"locked"}',
    })
    assert.equal((await get('/ping')).status, 200)
    assert.equal((await get('/other')).status, 404)
    assert.equal((await get('/metrics', { method: 'POST' })).status, 405)
    await listener.close({ deadlineMs: 1000 })
    for (const host of ['0.0.0.0', '::', '10.0.0.1']) {
      await assert.rejects(startOperations({ host, port: 0, health: () => health }), /only loopback will do/)
    }
  })

  it('counts a bounded number of series', () => {
    const { requests } = new Metrics('kms')
    for (let i = 0; i < 10_000; i++) requests.observe(`operation-${i}`, 'ok', 1)
    assert.doesNotThrow(() => requests.observe('operation-1', 'ok', 1))
  })
})

describe("the operator's log", () => {
  const logged = (level: 'info' | 'debug' = 'info') => {
    const lines: Record<string, unknown>[] = []
    const log = openLog({ name: 'kms', level, to: { write: line => void lines.push(JSON.parse(line)) } })
    return { lines, log }
  }

  it('promise 1: holds the fields of its table and nothing else', () => {
    const { lines, log } = logged()
    const sneaked = {
      reason: 'why',
      secretAccessKey: 'canary',
      body: { a: 'canary' },
      detail: { toJSON: () => 'canary' },
    }
    log('warn', 'something', sneaked as never)
    assert.deepEqual(Object.keys(lines[0] ?? {}).sort(), ['level', 'msg', 'name', 'pid', 'reason', 'time'])
    assert.ok(!JSON.stringify(lines).includes('canary'))
    log('error', 'long', { reason: 'x'.repeat(10_000) })
    assert.equal(String(lines[1]?.reason).length, LOG_FIELDS.reason.max)
  })

  it('says of an error what it is and where, not what it was about', () => {
    const { lines, log } = logged()
    log('error', 'a defect', placeOf(new TypeError('canary')))
    log('error', 'a defect', placeOf('canary'))
    assert.equal(lines[0]?.error, 'TypeError')
    assert.match(String(lines[0]?.at), /operations\.test\.ts/)
    assert.equal(lines[1]?.error, 'string')
    assert.ok(!JSON.stringify(lines).includes('canary'))
  })

  it('writes one line each, from its level up', () => {
    const { lines, log } = logged()
    log('debug', 'no')
    log('info', 'yes\nno', { count: 3, ready: true })
    assert.deepEqual(
      lines.map(({ level, msg, name, count, ready }) => ({ level, msg, name, count, ready })),
      [{ level: 'info', msg: 'yes\nno', name: 'kms', count: 3, ready: true }],
    )
  })
})
