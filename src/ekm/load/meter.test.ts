import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { EkmMeter, OTHERS } from './meter.ts'

async function page(meter: EkmMeter, underWay: [string, number][] = []): Promise<string[]> {
  const registry = new Registry()
  for (const metric of meter.asMetrics(() => underWay)) registry.registerMetric(metric)
  return (await registry.metrics()).split('\n').filter(line => line !== '' && !line.startsWith('#'))
}
const xks = (tenant: string) => ({ tenant, protocol: 'xks' })

test('answers by tenant, protocol, key and outcome, how long they took, what load left unanswered, and what is under way', async () => {
  const meter = new EkmMeter({ tenants: 10, keys: 10 })
  meter.answered(xks('acme'), 'payments', 'ok', 0.003)
  meter.answered(xks('acme'), 'payments', 'ok', 0.3)
  meter.answered(xks('acme'), '', 'KeyNotFoundException', 0.001)
  meter.answered({ tenant: 'acme', protocol: 'azure' }, 'payments', 'ok', 0.001)
  meter.load(xks('acme'), 'rate')
  meter.load(xks('acme'), 'rate')
  const lines = await page(meter, [['acme', 3]])
  for (const line of [
    'holdfast_ekm_requests_total{tenant="acme",protocol="xks",key="payments",outcome="ok"} 2',
    'holdfast_ekm_requests_total{tenant="acme",protocol="xks",key="",outcome="KeyNotFoundException"} 1',
    'holdfast_ekm_requests_total{tenant="acme",protocol="azure",key="payments",outcome="ok"} 1',
    'holdfast_ekm_request_seconds_bucket{tenant="acme",protocol="xks",le="0.005"} 2',
    'holdfast_ekm_request_seconds_bucket{tenant="acme",protocol="xks",le="0.25"} 2',
    'holdfast_ekm_request_seconds_bucket{tenant="acme",protocol="xks",le="1"} 3',
    'holdfast_ekm_request_seconds_bucket{tenant="acme",protocol="xks",le="+Inf"} 3',
    'holdfast_ekm_request_seconds_count{tenant="acme",protocol="xks"} 3',
    'holdfast_ekm_load_total{tenant="acme",protocol="xks",reason="rate"} 2',
    'holdfast_ekm_in_flight{tenant="acme"} 3',
  ])
    assert.ok(lines.includes(line), `${line}\nin\n${lines.join('\n')}`)
})

test('beyond the bounds all share one line, and nothing is lost', async () => {
  const meter = new EkmMeter({ tenants: 2, keys: 3 })
  for (let t = 0; t < 500; t++) for (let k = 0; k < 5; k++) meter.answered(xks(`t${t}`), `k${k}`, 'ok', 0.001)
  const lines = await page(meter, [
    ['t0', 1],
    ['t3', 2],
    ['t4', 3],
  ])
  const answers = lines.filter(line => line.startsWith('holdfast_ekm_requests_total'))
  assert.deepEqual(answers, [
    'holdfast_ekm_requests_total{tenant="t0",protocol="xks",key="k0",outcome="ok"} 1',
    'holdfast_ekm_requests_total{tenant="t0",protocol="xks",key="k1",outcome="ok"} 1',
    'holdfast_ekm_requests_total{tenant="t0",protocol="xks",key="k2",outcome="ok"} 1',
    `holdfast_ekm_requests_total{tenant="t0",protocol="xks",key="${OTHERS}",outcome="ok"} 2`,
    `holdfast_ekm_requests_total{tenant="t1",protocol="xks",key="${OTHERS}",outcome="ok"} 5`,
    `holdfast_ekm_requests_total{tenant="${OTHERS}",protocol="xks",key="${OTHERS}",outcome="ok"} 2490`,
  ])
  assert.ok(lines.includes('holdfast_ekm_in_flight{tenant="t0"} 1'))
  assert.ok(lines.includes(`holdfast_ekm_in_flight{tenant="${OTHERS}"} 5`))
  assert.ok(lines.length < 60)
})
