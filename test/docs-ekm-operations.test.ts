/** Every metric that docs/ekm-operations.md names, in its table and in its alerts, is on the page of the real service, with the labels that they are asked by; and the page has no other of ours. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { ekmConfig } from '../src/config/ekm.ts'
import { parseConfig } from '../src/config/load.ts'
import { ANSWER_WITHIN_MS } from '../src/ekm/keys/protocols.ts'
import { LOAD_REASONS } from '../src/ekm/load/admission.ts'
import { TestAuthority } from './support/certificates.ts'
import { type Ekm, ROOT, startEkm } from './support/ekm.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { encryptBody, SignerClient } from './support/xks-clients.ts'

interface Alert {
  readonly alert: string
  readonly expr: string
}

const text = readFileSync(join(ROOT, 'docs', 'ekm-operations.md'), 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-operations-'))
let ekm: Ekm<{ data: string; endpoint: string; operations: string }>
let page: string

before(async () => {
  const authority = await TestAuthority.make(folder, 'owner')
  const server = await authority.issue('server', { commonName: 'proxy', ipAddresses: ['127.0.0.1'], use: 'server' })
  const file = join(folder, 'ekm.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0, tls: server },
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
    }),
  )
  ekm = await startEkm(['--config', file])
  await ekm.cli('tenant', 'create', 'acme')
  await ekm.cli('key', 'create', 'k')
  const made = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>('credential', 'create')
  const client = new SignerClient({
    ...made,
    endpoint: ekm.line.endpoint,
    pathPrefix: 'acme',
    caFile: authority.caFile,
  })
  const request = () => ({ path: 'keys/k/encrypt', body: encryptBody(Buffer.from('plaintext')) })
  answered(await client.send(request()))
  refused(await client.send({ ...request(), secretAccessKey: 'x'.repeat(43) }), 'AuthenticationFailedException')
  await ekm.cli('tenant', 'set-quota', 'acme', '--per-second', '0.01')
  answered(await client.send(request()))
  refused(await client.send(request()), 'ThrottlingException')
  client.close()
  page = await (await fetch(`${ekm.line.operations}/metrics`)).text()
})
after(async () => {
  await ekm?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const linesOf = (name: string): string[] =>
  page.split('\n').filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `))

test('each metric of the table is on the page, and each of ours on the page is in the table', () => {
  const documented = new Set([...text.matchAll(/`(holdfast_\w+)`/g)].map(([, name = '']) => name))
  const shown = new Set([...page.matchAll(/^# TYPE (holdfast_\w+) /gm)].map(([, name = '']) => name))
  for (const name of documented) assert.ok(shown.has(name), `${name} is not on the page`)
  const perListener = /^holdfast_\w+_(in_flight|connections|certificate_expires)$/
  for (const name of shown) assert.ok(documented.has(name) || perListener.test(name), `${name} is not documented`)
})

test('each alert asks for metrics that are on the page, by labels that they have', () => {
  const [, block = ''] = /```yaml\n(groups:[\s\S]*?)```/.exec(text) ?? []
  const { groups } = parse(block) as { groups: { rules: Alert[] }[] }
  const rules = groups.flatMap(group => group.rules)
  assert.ok(rules.length >= 8)
  for (const { alert, expr } of rules) {
    const asked = [...expr.matchAll(/\b((?:holdfast|nodejs|process)_\w+)(?:\{([^}]*)\})?/g)]
    assert.ok(asked.length > 0 || expr.startsWith('up{'), alert)
    for (const [, name = '', matchers = ''] of asked) {
      const lines = linesOf(name)
      assert.ok(lines.length > 0, `${alert}: ${name}`)
      for (const [, label = ''] of matchers.matchAll(/(\w+)=/g))
        assert.ok(
          lines.some(line => line.includes(`${label}="`)),
          `${alert}: ${name} has no ${label}`,
        )
      for (const [, by = ''] of expr.matchAll(/by \(([^)]*)\)/g))
        for (const label of by.split(', '))
          assert.ok(
            lines.some(line => line.includes(`${label}="`)),
            `${alert}: ${name} has no ${label}`,
          )
    }
    assert.equal(expr.split('(').length, expr.split(')').length, alert)
  }
})

test('reasons, times and defaults are the program’s', () => {
  for (const reason of LOAD_REASONS) assert.ok(text.includes(`\`${reason}\``), reason)
  assert.match(
    text,
    new RegExp(
      `is ${ANSWER_WITHIN_MS.xks} ms for xks, azure and\\s+google, ${ANSWER_WITHIN_MS.kubernetes} ms for kubernetes`,
    ),
  )
  const config = parseConfig(ekmConfig, { data: 'd', boundary: { root: { kind: 'keyfile', file: 'f' } } })
  for (const number of [
    config.load.perSecond,
    config.load.inFlight,
    config.limits.inFlight,
    config.metrics.tenants,
    config.metrics.keys,
  ])
    assert.ok(text.includes(number.toLocaleString('en-US')), String(number))
})
