/**
 * The owner's policy with the real processes and the real command: what it allows and denies over the wire, when it is in force, what the log says of it, and
 * how it is checked, explained and tried on the past.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connectControl } from '../src/boundary/client/control.ts'
import type { DecodedRecord } from '../src/boundary/record-fields.ts'
import type { Explanation } from '../src/ekm/admin/policy-explain.ts'
import type { Outcome } from '../src/ekm/admin/policy-simulate.ts'
import { type Ekm, holdfast, ROOT, startEkm } from './support/ekm.ts'
import { readRecords } from './support/journal.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { CurlClient, decryptBody, encryptBody, metadata, SignerClient, type XksAnswer } from './support/xks-clients.ts'

const PLAINTEXT = Buffer.from('a blob of the provider')
const EVE = 'arn:aws:iam::666666666666:user/Eve'

let ekm: Ekm
let files: string
let acme: SignerClient
let curl: CurlClient
let other: SignerClient
let made: XksAnswer

before(async () => {
  files = mkdtempSync(join(tmpdir(), 'holdfast-policy-'))
  ekm = await startEkm(['--dev', '--prefix', 'acme', '--key', 'files', '--key', 'archive'])
  acme = new SignerClient(ekm.line)
  curl = new CurlClient(ekm.line)
  await ekm.cli('tenant', 'create', 'other')
  await ekm.cli('key', 'create', 'files', '--tenant', 'other')
  const credential = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>(
    'credential',
    'create',
    '--tenant',
    'other',
  )
  other = new SignerClient({ ...ekm.line, pathPrefix: 'other', ...credential })
  made = answered(await encrypt(acme))
})
after(async () => {
  acme?.close()
  other?.close()
  assert.equal(await ekm?.stop(), 0)
  rmSync(files, { recursive: true, force: true })
})

const encrypt = (by: SignerClient | CurlClient, claims: object = {}, key = 'files') =>
  by.send({
    path: `keys/${key}/encrypt`,
    body: encryptBody(PLAINTEXT, { requestMetadata: { ...metadata('Encrypt'), ...claims } }),
  })
const decrypt = (by: SignerClient | CurlClient, claims: object = {}) =>
  by.send({
    path: 'keys/files/decrypt',
    body: decryptBody(made, { requestMetadata: { ...metadata('Decrypt'), ...claims } }),
  })

function file(name: string, text: string): string {
  const path = join(files, name)
  writeFileSync(path, text)
  return path
}

const starter = (tenant: string): string =>
  `@id("own-callers") permit (principal in Tenant::"${tenant}", action, resource in Tenant::"${tenant}");\n`
const setTo = (text: string, ...owner: string[]) =>
  ekm.cli<{ revision: number; digest: string }>('policy', 'set', file('set.cedar', text), ...owner)
const toStarter = () => ekm.cli('policy', 'set', '--starter', '--tenant', 'acme')
const records = (): DecodedRecord[] => readRecords(ekm.data).map(({ record }) => record)
const last = (): DecodedRecord => records().at(-1) as DecodedRecord

test('a tenant begins with a policy that is shown, and its uses are recorded under it', async () => {
  const { text, revision } = await ekm.cli<{ text: string; revision: number }>('policy', 'show', '--tenant', 'acme')
  assert.equal(revision, 1)
  assert.match(text, /@id\("own-callers"\)\npermit \(\n {2}principal in Tenant::"acme",/)
  answered(await encrypt(curl))
  assert.equal(last().asserted.policy, 'own-callers')
  assert.equal(last().boundaryOperation, 'externalEncrypt')
  answered(await acme.send({ path: 'keys/files/metadata', body: { requestMetadata: metadata('DescribeKey') } }))
  assert.equal(last().asserted.policy, 'own-callers')
})

test('what a policy forbids is denied with the protocol’s error and recorded with who, what and which policy; the rest goes on', async () => {
  await setTo(
    `${starter('acme')}
    @id("no-eve") forbid (principal, action in Action::"unwrap", resource) when { context.claimedPrincipal like "arn:aws:iam::666666666666:*" };
    @id("archive-is-closed") forbid (principal, action == Action::"xks:encrypt", resource == Key::"acme/archive");
    @id("europe") forbid (principal, action, resource) unless { context.region like "eu-*" || context.region == "us-east-1" };`,
    '--tenant',
    'acme',
  )
  for (const client of [acme, curl]) {
    answered(await decrypt(client))
    refused(await decrypt(client, { awsPrincipalArn: EVE }), 'AccessDeniedException')
    const denied = last()
    assert.equal(denied.outcome, 'denied')
    assert.equal(denied.error, 'AccessDeniedException')
    assert.equal(denied.keyId, 'acme/files')
    assert.equal(denied.asserted.policy, 'no-eve')
    assert.equal(denied.asserted.claimedPrincipal, EVE)
    assert.equal(denied.asserted.claimedAccount, '666666666666')
    assert.equal(denied.asserted.accessKeyId, ekm.line.accessKeyId)
    answered(await encrypt(client, { awsPrincipalArn: EVE }))
    refused(await encrypt(client, {}, 'archive'), 'AccessDeniedException')
    assert.equal(last().asserted.policy, 'archive-is-closed')
  }
  const from = (region: string) => acme.send({ path: 'keys/files/encrypt', body: encryptBody(PLAINTEXT), region })
  answered(await from('eu-central-1'))
  refused(await from('ap-south-1'), 'AccessDeniedException')
  assert.equal(last().asserted.policy, 'europe')
  answered(await encrypt(other))
  await toStarter()
})

test('health is no question of policy', async () => {
  await setTo('', '--tenant', 'acme')
  const health = { path: 'health', body: { requestMetadata: { kmsRequestId: 'r', kmsOperation: 'KmsHealthCheck' } } }
  answered(await acme.send(health))
  refused(await encrypt(acme), 'AccessDeniedException')
  assert.equal(last().asserted.policy, undefined, 'nothing permitted it')
  await toStarter()
})

test('under load, no use that starts after holdfast ekm policy set has ended is judged by the policy before', async () => {
  for (const owner of [['--tenant', 'acme'], ['--service']]) {
    let denying = false
    let done = false
    let before = 0
    let afterwards = 0
    const late: string[] = []
    const work = async (): Promise<void> => {
      const own = new SignerClient(ekm.line)
      while (!done) {
        const startedAfter = denying
        const answer = await encrypt(own)
        if (answer.status === 200 && startedAfter) late.push(answer.text)
        if (startedAfter) afterwards++
        else if (answer.status === 200) before++
        if (afterwards >= 200) done = true
      }
      own.close()
    }
    const working = Promise.all(Array.from({ length: 4 }, work))
    while (before < 50) await Promise.race([working, new Promise(next => setImmediate(next))])
    await setTo('@id("stop") forbid (principal, action, resource);', ...owner)
    denying = true
    await working
    assert.deepEqual(late, [])
    if (owner[0] === '--service') await setTo('', '--service')
    else await toStarter()
    answered(await encrypt(acme))
  }
})

test('what the whole service’s policy forbids is forbidden in every tenant, and it permits nothing', async () => {
  await setTo('@id("frozen") forbid (principal, action in Action::"wrap", resource);', '--service')
  for (const client of [acme, other]) {
    refused(await encrypt(client), 'AccessDeniedException')
    assert.equal(last().asserted.policy, 'service:frozen')
  }
  answered(await decrypt(acme))
  const permit = file('permit.cedar', 'permit (principal, action, resource);')
  const { code, stderr } = await holdfast(['ekm', 'policy', 'set', permit, '--service', '--data', ekm.data])
  assert.equal(code, 1)
  assert.match(stderr, /permit\.cedar:1:1: the policy of the whole service only forbids/)
  refused(await encrypt(acme), 'AccessDeniedException')
  await setTo('', '--service')
  answered(await encrypt(acme))
})

test('a bad policy is refused with its place, at check and at set, and the one before stays in force', async () => {
  const bad = file(
    'bad.cedar',
    `// é\n${starter('acme')}forbid (principal, action, resource)\n  when { context.reasn == "X" };\n`,
  )
  const before = await ekm.cli<{ digest: string }>('policy', 'show', '--tenant', 'acme')
  const place = /bad\.cedar:4:10: attribute `reasn` in context not found/
  const set = await holdfast(['ekm', 'policy', 'set', bad, '--tenant', 'acme', '--data', ekm.data])
  assert.equal(set.code, 1)
  assert.match(set.stderr, place)
  assert.deepEqual(await ekm.cli('policy', 'show', '--tenant', 'acme'), before)
  answered(await encrypt(acme))
  const check = await holdfast(['ekm', 'policy', 'check', bad])
  assert.equal(check.code, 1)
  assert.match(check.stdout, place)
  const json = await holdfast(['ekm', 'policy', 'check', bad, '--json'])
  assert.equal(json.code, 1)
  const { good, problems } = JSON.parse(json.stdout)
  assert.equal(good, false)
  assert.deepEqual([problems.length, problems[0].line, problems[0].column, problems[0].severity], [1, 4, 10, 'error'])
  assert.equal((await holdfast(['ekm', 'policy', 'check', file('good.cedar', starter('acme'))])).code, 0)
  assert.equal((await holdfast(['ekm', 'policy', 'check', join(files, 'none.cedar')])).code, 1)
  const created = await holdfast(['ekm', 'tenant', 'create', 'third', '--policy', bad, '--data', ekm.data])
  assert.equal(created.code, 1)
  const tenants = await ekm.cli<{ tenant: string }[]>('tenant', 'list')
  assert.ok(!tenants.some(({ tenant }) => tenant === 'third'))
})

test('a tenant can begin with a policy of the owner’s own', async () => {
  const closed = file(
    'closed.cedar',
    '@id("only-describe") permit (principal, action in Action::"describe", resource);',
  )
  await ekm.cli('tenant', 'create', 'closed', '--policy', closed)
  await ekm.cli('key', 'create', 'files', '--tenant', 'closed')
  const credential = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>(
    'credential',
    'create',
    '--tenant',
    'closed',
  )
  const client = new SignerClient({ ...ekm.line, pathPrefix: 'closed', ...credential })
  refused(await encrypt(client), 'AccessDeniedException')
  answered(await client.send({ path: 'keys/files/metadata', body: { requestMetadata: metadata('DescribeKey') } }))
  client.close()
})

test('a change is a transition in the log: who, of which tenant, and the digest of the text', async () => {
  const text = `${starter('acme')}// é\n`
  const { digest, revision } = await setTo(text, '--tenant', 'acme')
  const record = records().findLast(({ boundaryOperation }) => boundaryOperation === 'putRows')
  assert.equal(digest, createHash('sha256').update(text).digest('hex'))
  assert.equal(record?.policyDigest?.toString('hex'), digest)
  assert.equal(record?.asserted.operation, 'admin:SetPolicy')
  assert.equal(record?.asserted.subject, 'acme')
  assert.match(record?.asserted.principal ?? '', /^operator:/)
  assert.deepEqual(record?.changes, [{ kind: 'owner-policy', id: 'acme', revision }])
  assert.deepEqual(
    await setTo(text, '--tenant', 'acme'),
    { policy: 'acme', digest, revision },
    'the same again is no change',
  )
})

test('promise 4: the policy is in force after front end and boundary were killed', async () => {
  await setTo(
    `${starter('acme')}@id("kept") forbid (principal, action in Action::"unwrap", resource);`,
    '--tenant',
    'acme',
  )
  for (const which of ['frontEnd', 'boundary'] as const) {
    const old = ekm.children()[which]
    process.kill(old, 'SIGKILL')
    for (;;) {
      const answer = await decrypt(acme).catch(() => undefined)
      if (answer !== undefined && answer.status < 500 && ekm.children()[which] !== old) {
        refused(answer, 'AccessDeniedException')
        break
      }
      await delay(20)
    }
    answered(await encrypt(acme))
  }
  await toStarter()
})

test('a policy that cannot be read allows nothing: 503 for its tenant, and nobody else notices', async () => {
  const control = connectControl({ socket: join(ekm.data, 'boundary', 'control.sock') })
  const row = await control.getRow('owner-policy', 'acme')
  const put = { kind: 'owner-policy', id: 'acme', scope: 'acme', link: '', expected: row?.revision ?? 0 } as const
  await control.putRows([{ ...put, body: Buffer.from('permit (principal, action, resource) someday;') }], {})
  refused(await encrypt(acme), 'DependencyTimeoutException')
  assert.equal(last().outcome, 'failed')
  answered(await encrypt(other))
  await assert.rejects(
    control.putRows(
      [
        { ...put, expected: put.expected + 1, body: Buffer.from('') },
        { ...put, id: '*', scope: '*', expected: 0, body: Buffer.from('') },
      ],
      {},
    ),
    { name: 'BoundaryError' },
    'a record names one policy',
  )
  control.close()
  await toStarter()
  answered(await encrypt(acme))
})

test('explain: which policies decide, of a call in the log and of one that is described', async () => {
  await setTo(
    `${starter('acme')}
@id("no-eve") @revoke("principal")
forbid (principal, action in Action::"unwrap", resource) when { context.claimedAccount == "666666666666" };`,
    '--tenant',
    'acme',
  )
  refused(await decrypt(acme, { awsPrincipalArn: EVE }), 'AccessDeniedException')
  const { seq } = readRecords(ekm.data).at(-1) ?? { seq: -1 }
  const found = await ekm.cli<Explanation>('policy', 'explain', '--record', String(seq))
  assert.equal(found.allowed, false)
  assert.equal(found.why, 'forbidden by no-eve')
  assert.deepEqual(found.revoke, { scope: 'principal', policy: 'no-eve' })
  assert.deepEqual(found.recorded, { allowed: false, policy: 'no-eve' })
  assert.equal(found.context.claimedPrincipal, EVE)
  assert.deepEqual(
    found.policies.map(({ id, line, effect, applies, decided }) => [id, line, effect, applies, decided]),
    [
      ['own-callers', 1, 'permit', true, false],
      ['no-eve', 3, 'forbid', true, true],
    ],
  )
  const describe = (...more: string[]) =>
    ekm.cli<Explanation>(
      'policy',
      'explain',
      '--action',
      'xks:decrypt',
      '--key',
      'acme/files',
      '--principal',
      'xks:ANYONE',
      ...more,
    )
  assert.equal((await describe()).why, 'permitted by own-callers')
  assert.equal((await describe('--context', 'claimedAccount=666666666666')).why, 'forbidden by no-eve')
  assert.match((await describe('--tenant', 'other')).why, /^callers of other may use keys of other only/)
  const text = await holdfast(['ekm', 'policy', 'explain', '--record', String(seq), '--data', ekm.data])
  assert.match(
    text.stdout,
    /^denied: forbidden by no-eve\nno-eve orders to revoke the principal\nthen: denied by no-eve\n/,
  )
  const wrong = await holdfast([
    'ekm',
    'policy',
    'explain',
    '--action',
    'xks:export',
    '--key',
    'acme/files',
    '--principal',
    'x',
    '--data',
    ekm.data,
  ])
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /There is no operation xks:export; there are xks:metadata, /)
  await toStarter()
  // The order was obeyed: what was revoked only the owner restores.
  const [off] = await ekm.cli<{ switch: string; cause: string }[]>('switches')
  assert.match(off?.cause ?? '', /^policy no-eve: xks:decrypt by /)
  refused(await decrypt(acme), 'InvalidStateException')
  await ekm.cli('restore', '--principal', off?.switch.replace('principal/', '') ?? '')
  answered(await decrypt(acme))
})

test('simulate: which uses of the past a policy would have denied, and which it would have allowed', async () => {
  const since = new Date().toISOString()
  for (let i = 0; i < 3; i++) answered(await encrypt(acme))
  answered(await decrypt(acme, { awsPrincipalArn: EVE }))
  answered(await encrypt(other))
  await setTo('', '--tenant', 'acme')
  for (let i = 0; i < 2; i++) refused(await decrypt(acme), 'AccessDeniedException')
  await toStarter()
  const draft = `${starter('acme')}@id("no-eve") @revoke("key") forbid (principal, action, resource) when { context.claimedPrincipal == "${EVE}" };`
  const path = file('draft.cedar', draft)
  const outcome = await ekm.cli<Outcome>('policy', 'simulate', path, '--tenant', 'acme', '--since', since)
  assert.deepEqual([outcome.uses, outcome.stillAllowed, outcome.stillDenied], [6, 3, 0])
  assert.equal(outcome.wouldBeDenied.count, 1)
  const [group] = outcome.wouldBeDenied.groups
  assert.deepEqual(
    [group?.action, group?.key, group?.claimedPrincipal, group?.policies, group?.count],
    ['xks:decrypt', 'acme/files', EVE, ['no-eve'], 1],
  )
  assert.deepEqual(group?.revoke, { scope: 'key', policy: 'no-eve' })
  assert.deepEqual([outcome.wouldBeAllowed.count, outcome.wouldBeAllowed.groups[0]?.count], [2, 2])
  const service = file('service.cedar', '@id("frozen") forbid (principal, action in Action::"wrap", resource);')
  const all = await ekm.cli<Outcome>('policy', 'simulate', service, '--service', '--since', since)
  assert.deepEqual([all.uses, all.wouldBeDenied.count, all.wouldBeAllowed.count, all.stillDenied], [7, 4, 2, 0])
  const text = await holdfast([
    'ekm',
    'policy',
    'simulate',
    path,
    '--tenant',
    'acme',
    '--since',
    since,
    '--data',
    ekm.data,
  ])
  assert.match(
    text.stdout,
    /^6 uses that policy decided, in [\d,]+ entries\n3 allowed then and now, 0 denied then and now\n1 allowed then, would be denied\n/,
  )
  const bad = await holdfast([
    'ekm',
    'policy',
    'simulate',
    file('bad2.cedar', 'permit;'),
    '--tenant',
    'acme',
    '--data',
    ekm.data,
  ])
  assert.equal(bad.code, 1)
  assert.match(bad.stderr, /bad2\.cedar:1:7: /)
  // Nothing was changed.
  answered(await decrypt(acme, { awsPrincipalArn: EVE }))
})

test('schema: what is printed is what is published', async () => {
  const { code, stdout } = await holdfast(['ekm', 'policy', 'schema'])
  assert.equal(code, 0)
  assert.equal(stdout, readFileSync(join(ROOT, 'docs', 'policy.cedarschema'), 'utf8'))
})
