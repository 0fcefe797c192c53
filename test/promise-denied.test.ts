/**
 * Denied unless allowed, through the wire: every operation that is served, asked by a principal with every permission but the one needed, generated from the
 * table of permissions; and every route of the owner's proxy, asked by whoever has no business there.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { OPERATION_ACCESS } from '../src/kms/access/permissions.ts'
import { createCredential, createPrincipal, deletePolicy, putPolicy } from '../src/kms/admin/index.ts'
import { OPERATIONS } from '../src/kms/operations/table.ts'
import { type Ekm, startEkm } from './support/ekm.ts'
import { recordsByRequest } from './support/journal.ts'
import { type Answer, ApiClient, type Kms, startKms } from './support/kms.ts'
import { changesNothing, makeWorld, requestOf, type World } from './support/requests.ts'
import { encryptBody, metadata, SignerClient, type XksTarget } from './support/xks-clients.ts'

describe('promise 5: the provider’s KMS', () => {
  let kms: Kms
  let owner: ApiClient
  let almost: ApiClient
  let control: ReturnType<Kms['control']>
  let arn: string
  let world: World
  const denied: { operation: string; requestId: string }[] = []

  before(async () => {
    kms = await startKms()
    owner = new ApiClient(kms.line.endpoint, kms.line)
    control = kms.control()
    arn = `arn:aws:iam::${kms.line.accountId}:user/almost`
    await createPrincipal(control, arn)
    const made = await createCredential(control, arn)
    almost = new ApiClient(kms.line.endpoint, {
      accessKeyId: made.accessKeyId,
      secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    })
    world = await makeWorld(owner)
  })
  after(async () => {
    owner?.close()
    almost?.close()
    control?.close()
    await kms?.stop()
  })

  const isDenied = (answer: Answer, operation: string, permission: string, reason: string): void => {
    assert.equal(answer.status, 400, answer.text)
    assert.equal(answer.json.__type, 'AccessDeniedException', answer.text)
    const words = `User: ${arn} is not authorized to perform: ${permission} on resource: `
    assert.ok(answer.json.message.startsWith(words), answer.text)
    assert.ok(answer.json.message.endsWith(` ${reason}`), answer.text)
    denied.push({ operation, requestId: answer.requestId })
  }
  const policy = (statement: object): string => JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
  const state = async (): Promise<object> => ({
    key: await owner.ok('DescribeKey', { KeyId: world.KeyId }),
    tags: await owner.ok('ListResourceTags', { KeyId: world.KeyId }),
    policy: await owner.ok('GetKeyPolicy', { KeyId: world.KeyId }),
    aliases: await owner.ok('ListAliases', {}),
    keys: await owner.ok('ListKeys', {}),
    rotation: await owner.ok('GetKeyRotationStatus', { KeyId: world.KeyId }),
    stores: await owner.ok('DescribeCustomKeyStores', {}),
  })

  test('promise 5: whoever has every permission but the one needed is denied, in AWS’s words, and nothing happens', async () => {
    const before = await state()
    for (const { name } of OPERATIONS) {
      const input = requestOf(name, world)
      for (const { permission } of OPERATION_ACCESS[name]?.permissions ?? []) {
        await putPolicy(control, arn, 'almost', policy({ Effect: 'Allow', NotAction: permission, Resource: '*' }))
        const reason = `because no identity-based policy allows the ${permission} action`
        isDenied(await almost.call(name, input), name, permission, reason)
        await putPolicy(control, arn, 'almost', policy({ Effect: 'Allow', Action: '*', Resource: '*' }))
        await putPolicy(control, arn, 'never', policy({ Effect: 'Deny', Action: permission, Resource: '*' }))
        isDenied(await almost.call(name, input), name, permission, 'with an explicit deny in an identity-based policy')
        await deletePolicy(control, arn, 'never')
      }
    }
    assert.deepEqual(await state(), before)
  })

  test('promise 5: without any policy nothing is allowed, and with all of them what is denied elsewhere is not', async () => {
    await deletePolicy(control, arn, 'almost')
    for (const { name } of OPERATIONS) {
      const { json } = await almost.call(name, requestOf(name, world))
      assert.equal(json.__type, 'AccessDeniedException', name)
    }
    await putPolicy(control, arn, 'all', policy({ Effect: 'Allow', Action: 'kms:*', Resource: '*' }))
    for (const { name } of OPERATIONS) {
      if (!changesNothing(name)) continue
      const { json, text } = await almost.call(name, requestOf(name, world))
      assert.notEqual(json.__type, 'AccessDeniedException', `${name}: ${text}`)
    }
  })

  test('promise 5: a key policy that names nobody allows nobody, whatever identity policies say', async () => {
    const Action = ['kms:PutKeyPolicy', 'kms:DescribeKey']
    const only = {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${kms.line.accountId}:root` },
      Action,
      Resource: '*',
    }
    const { KeyMetadata } = await owner.ok('CreateKey', { Policy: policy(only) })
    const { KeyId } = KeyMetadata
    for (const { name } of OPERATIONS) {
      for (const { permission, on } of OPERATION_ACCESS[name]?.permissions ?? []) {
        if (on !== 'key' || Action.includes(permission) || name.endsWith('Alias') || name === 'Decrypt') continue
        const answer = await almost.call(name, { ...requestOf(name, world), KeyId })
        isDenied(answer, name, permission, `because no resource-based policy allows the ${permission} action`)
      }
    }
  })

  test('promise 2: each denial has one record, that says who asked for what', () => {
    const records = recordsByRequest(kms.line.data)
    assert.ok(denied.length > 2 * OPERATIONS.length)
    for (const { operation, requestId } of denied) {
      const of = records.get(requestId) ?? []
      assert.equal(of.length, 1, operation)
      assert.equal(of[0]?.outcome, 'denied')
      assert.equal(of[0]?.error, 'AccessDeniedException')
      assert.equal(of[0]?.asserted.operation, operation)
      assert.equal(of[0]?.asserted.principal, arn)
    }
  })
})

describe('promise 5: the owner’s proxy', () => {
  let ekm: Ekm
  let own: XksTarget
  let foreign: XksTarget
  const clients: SignerClient[] = []

  before(async () => {
    ekm = await startEkm(['--dev', '--prefix', 'mine', '--key', 'vault'])
    own = ekm.line
    await ekm.cli('tenant', 'create', 'theirs')
    await ekm.cli('key', 'create', 'vault', '--tenant', 'theirs')
    const made = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>(
      'credential',
      'create',
      '--tenant',
      'theirs',
    )
    foreign = { ...own, accessKeyId: made.accessKeyId, secretAccessKey: made.secretAccessKey }
  })
  after(async () => {
    for (const client of clients) client.close()
    await ekm?.stop()
  })

  const routes = (): readonly { readonly path: string; readonly body: object }[] => [
    { path: 'health', body: { requestMetadata: { kmsRequestId: 'r', kmsOperation: 'KmsHealthCheck' } } },
    { path: 'keys/vault/metadata', body: { requestMetadata: metadata('DescribeKey') } },
    { path: 'keys/vault/encrypt', body: encryptBody(Buffer.from('x')) },
    { path: 'keys/vault/decrypt', body: { requestMetadata: metadata('Decrypt') } },
  ]
  const client = (target: XksTarget): SignerClient => {
    const made = new SignerClient(target)
    clients.push(made)
    return made
  }

  test('promise 5: no route serves a credential of another tenant, one that nobody has, or a wrong secret', async () => {
    const strangers = [
      client(foreign),
      client({ ...own, accessKeyId: 'A'.repeat(26) }),
      client({ ...own, secretAccessKey: foreign.secretAccessKey }),
      client({ ...foreign, secretAccessKey: own.secretAccessKey }),
    ]
    for (const request of routes()) {
      for (const stranger of strangers) {
        const { status, json } = await stranger.send(request)
        assert.equal(status, 401, request.path)
        assert.equal(json.errorName, 'AuthenticationFailedException')
      }
    }
    const mine = client(own)
    for (const request of routes().slice(0, 3)) assert.equal((await mine.send(request)).status, 200, request.path)
    const theirs = client({ ...foreign, pathPrefix: 'theirs' })
    for (const request of routes().slice(0, 3)) assert.equal((await theirs.send(request)).status, 200, request.path)
  })

  test('promise 5: a tenant’s credential does not reach another tenant’s key by any spelling of the path', async () => {
    const mine = client(own)
    for (const path of ['../../../../theirs/kms/xks/v1/keys/vault/encrypt', 'keys/..%2f..%2ftheirs%2fvault/encrypt']) {
      const { status } = await mine.send({ path, body: encryptBody(Buffer.from('x')) })
      assert.ok(status >= 400 && status < 500, `${path}: ${status}`)
    }
  })
})
