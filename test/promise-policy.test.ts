/**
 * Denied unless allowed, at the owner's side, through the wire: every operation that providers can ask for, generated from the table of operations, under
 * policies that permit all but it, nothing but it, or nothing; and policies of others that permit everything.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connectControl } from '../src/boundary/client/control.ts'
import { OPERATIONS } from '../src/ekm/access/operations.ts'
import { createCredential, createKey, setPolicy } from '../src/ekm/admin/index.ts'
import { tenantRow } from '../src/ekm/admin/tenants.ts'
import { type Ekm, startEkm } from './support/ekm.ts'
import { recordsByRequest } from './support/journal.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { decryptBody, encryptBody, metadata, SignerClient, type XksAnswer } from './support/xks-clients.ts'

type Operation = keyof (typeof OPERATIONS)['xks']

let ekm: Ekm
let control: ReturnType<typeof connectControl>
const clients: Record<string, SignerClient> = {}
let made: XksAnswer

const PERMIT_ALL = 'permit (principal, action, resource);'

/** A tenant as no command makes it: without a row of policy. */
async function bareTenant(name: string): Promise<void> {
  await control.putRows([tenantRow(name, 0, { v: 1, created: 1, clients: [], credentials: {} })], {})
  await createKey(control, { tenant: name, keyId: 'vault', usage: 'both', backing: 'software' })
  const { accessKeyId, secretAccessKey } = await createCredential(control, name)
  const secret = secretAccessKey.reveal(bytes => bytes.toString('latin1'))
  clients[name] = new SignerClient({ ...ekm.line, pathPrefix: name, accessKeyId, secretAccessKey: secret })
}

before(async () => {
  ekm = await startEkm(['--dev', '--prefix', 'mine', '--key', 'vault'])
  control = connectControl({ socket: join(ekm.data, 'boundary', 'control.sock') })
  clients.mine = new SignerClient(ekm.line)
  await bareTenant('bare')
  made = answered(await clients.mine.send({ path: 'keys/vault/encrypt', body: encryptBody(Buffer.from('x')) }))
})
after(async () => {
  for (const client of Object.values(clients)) client.close()
  control?.close()
  await ekm?.stop()
})

const BODIES: Readonly<Record<Operation, () => object>> = {
  metadata: () => ({ requestMetadata: metadata('DescribeKey') }),
  encrypt: () => encryptBody(Buffer.from('x')),
  decrypt: () => decryptBody(made),
}
const ALL = Object.keys(OPERATIONS.xks) as Operation[]

const send = (tenant: string, operation: Operation): Promise<XksAnswer> =>
  (clients[tenant] as SignerClient).send({ path: `keys/vault/${operation}`, body: BODIES[operation]() })
const set = (tenant: string, text: string) => setPolicy(control, tenant, Buffer.from(text))

async function allowedOnly(tenant: string, allowed: readonly Operation[]): Promise<void> {
  for (const operation of ALL) {
    const answer = await send(tenant, operation)
    if (allowed.includes(operation)) answered(answer)
    else refused(answer, 'AccessDeniedException')
  }
}

test('promise 5: a tenant without any policy can do nothing, although others permit everything to everyone', async () => {
  await set('mine', PERMIT_ALL)
  await allowedOnly('bare', [])
  await allowedOnly('mine', ALL)
})

for (const operation of ALL) {
  test(`promise 5: ${operation} is denied under a policy that permits everything else, and is all that one permits that names it`, async () => {
    const action = OPERATIONS.xks[operation]
    const others = ALL.filter(each => each !== operation)
    await set('mine', `permit (principal, action, resource) unless { action == Action::"xks:${operation}" };`)
    await allowedOnly('mine', others)
    await set('mine', `permit (principal, action, resource) unless { action in Action::"${action}" };`)
    await allowedOnly('mine', others)
    await set('mine', `permit (principal, action == Action::"xks:${operation}", resource);`)
    await allowedOnly('mine', [operation])
    await set('mine', `${PERMIT_ALL} forbid (principal, action in Action::"${action}", resource);`)
    await allowedOnly('mine', others)
  })
}

test('promise 5: a policy that permits another peer, key, protocol or tenant allows nothing', async () => {
  for (const scope of [
    'principal == Peer::"xks:AAAAAAAAAAAAAAAAAAAAAAAAAA", action, resource',
    'principal in Protocol::"azure", action, resource',
    'principal in Tenant::"bare", action, resource',
    'principal, action, resource == Key::"mine/other"',
    'principal, action, resource in Tenant::"bare"',
    'principal, action in [Action::"digest", Action::"sign"], resource',
  ]) {
    await set('mine', `permit (${scope});`)
    await allowedOnly('mine', [])
  }
  await allowedOnly('bare', [])
})

test('promise 2: each denial has one record, under the caller’s name', async () => {
  await set('mine', '')
  const before = recordsByRequest(ekm.data).size
  await allowedOnly('mine', [])
  const records = [...recordsByRequest(ekm.data).values()].slice(before)
  assert.equal(records.length, ALL.length)
  for (const [record, ...more] of records) {
    assert.equal(more.length, 0)
    assert.equal(record?.outcome, 'denied')
    assert.equal(record?.asserted.accessKeyId, ekm.line.accessKeyId)
    assert.equal(record?.keyId, 'mine/vault')
  }
})
