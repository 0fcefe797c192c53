/**
 * The life of custom key stores through the six operations, over rows in memory and a real proxy: states, names, credentials, connecting in the background.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { BoundaryError } from '../../boundary/words.ts'
import {
  ConnectCustomKeyStore,
  CreateCustomKeyStore,
  DeleteCustomKeyStore,
  DescribeCustomKeyStores,
  DisconnectCustomKeyStore,
  UpdateCustomKeyStore,
} from '../operations/custom-key-stores/index.ts'
import type { Operation } from '../operations/types.ts'
import type { KeyStoresOptions } from './key-stores.ts'
import { type ManagedKeyStores, openKeyStores } from './manage.ts'
import { Certificates, HEALTH, HOST, MemoryRows, PATH, REGION, TestProxy } from './testing.ts'
import { ACCOUNT, CREDENTIAL, callOf, PARAMETERS, REQUEST, refused } from './testing-calls.ts'

let certificates: Certificates
let proxy: TestProxy
let port: number
let rows: MemoryRows
let stores: ManagedKeyStores
let failures: string[]

before(() => {
  certificates = new Certificates()
})
after(() => certificates.remove())
beforeEach(async () => {
  proxy = new TestProxy(certificates)
  port = await proxy.listen()
  rows = new MemoryRows()
  failures = []
  stores = open()
})
afterEach(async () => {
  stores.close()
  await proxy.close()
})

function open(options: Partial<KeyStoresOptions> = {}): ManagedKeyStores {
  return openKeyStores({
    replica: rows.replica,
    boundary: rows.boundary,
    clusters: new Map(),
    hosts: { [HOST]: certificates.host(port), 'second.owner.example': certificates.host(port) },
    client: { deadlineMs: 3000, inFlight: 16 },
    most: 10,
    onFailure: (store, failure) => failures.push(`${store} ${failure.failure}`),
    resolve: () => Promise.reject(Object.assign(new Error('no DNS in tests'), { code: 'ENOTFOUND' })),
    ...options,
  })
}

const run = <Input, Output>(operation: Operation<Input, Output>, input: Input, arn = 'root'): Promise<Output> =>
  operation.run(callOf(operation.name, { stores, replica: rows.replica }, arn), input)

const create = async (changes: object = {}): Promise<string> => {
  const made = await run(CreateCustomKeyStore, { ...PARAMETERS, ...changes })
  return made.CustomKeyStoreId
}
const describe = async (CustomKeyStoreId: string) => {
  const { CustomKeyStores } = await run(DescribeCustomKeyStores, { CustomKeyStoreId })
  const [entry] = CustomKeyStores
  assert.ok(entry !== undefined && CustomKeyStores.length === 1)
  return entry
}
const rowId = (id: string) => `${ACCOUNT}/${REGION}/${id}`

async function settled(id: string): Promise<string> {
  for (const until = Date.now() + 10_000; Date.now() < until; ) {
    const { ConnectionState: state } = await describe(id)
    if (state !== 'CONNECTING') return state
    await new Promise(resolve => setImmediate(resolve))
  }
  throw new Error('it is connecting for ever')
}

async function connected(changes: object = {}): Promise<string> {
  const id = await create(changes)
  await run(ConnectCustomKeyStore, { CustomKeyStoreId: id })
  assert.equal(await settled(id), 'CONNECTED')
  return id
}

const encrypt = (id: string) => stores.encrypt(rowId(id), 'foo', Buffer.from('x'), randomBytes(32), REQUEST)

test('made, described, connected, used, disconnected, deleted', async () => {
  const id = await create()
  assert.match(id, /^cks-[0-9a-f]{17}$/)
  assert.deepEqual(await describe(id), {
    CustomKeyStoreId: id,
    CustomKeyStoreName: 'owner',
    ConnectionState: 'DISCONNECTED',
    CreationDate: 1_700_000_000,
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyConfiguration: {
      Connectivity: 'PUBLIC_ENDPOINT',
      AccessKeyId: CREDENTIAL.AccessKeyId,
      UriEndpoint: PARAMETERS.XksProxyUriEndpoint,
      UriPath: PATH,
    },
  })
  assert.deepEqual(proxy.received[0]?.body, {
    requestMetadata: { kmsRequestId: 'request-1', kmsOperation: 'CreateCustomKeyStore' },
  })
  assert.equal(stores.connected(rowId(id)), false)
  const early = await refused(encrypt(id), 'KMSInvalidStateException')
  assert.match(early.text ?? '', /^This KMS key is in a custom key store that is not connected/)

  await run(ConnectCustomKeyStore, { CustomKeyStoreId: id })
  assert.equal(await settled(id), 'CONNECTED')
  assert.equal(stores.connected(rowId(id)), true)
  const sealed = await encrypt(id)
  assert.equal(sealed.ciphertext.length, 1)
  await stores.checkKey(rowId(id), 'foo', REQUEST)

  await refused(run(DeleteCustomKeyStore, { CustomKeyStoreId: id }), 'CustomKeyStoreInvalidStateException')
  await run(DisconnectCustomKeyStore, { CustomKeyStoreId: id })
  assert.equal(stores.connected(rowId(id)), false)
  await refused(encrypt(id), 'KMSInvalidStateException')
  await refused(run(DisconnectCustomKeyStore, { CustomKeyStoreId: id }), 'CustomKeyStoreInvalidStateException')
  await run(DeleteCustomKeyStore, { CustomKeyStoreId: id })
  await refused(describe(id), 'CustomKeyStoreNotFoundException')
  assert.ok([...rows.rows.values()].every(row => row.body === null))
})

test('the secret lies in the row for secrets and nowhere else', async () => {
  const id = await create()
  for (const row of rows.rows.values()) {
    assert.equal(row.body?.includes(CREDENTIAL.RawSecretAccessKey), row.kind === 'keystore-credential')
  }
  assert.ok(!JSON.stringify([await describe(id), rows.asserted, failures]).includes(CREDENTIAL.RawSecretAccessKey))
})

test('a proxy that is not well: no store is made, in the words of the table', async () => {
  const cases: ReadonlyArray<readonly [number, string, string]> = [
    [401, 'AuthenticationFailedException', 'XksProxyIncorrectAuthenticationCredentialException'],
    [404, 'InvalidUriPathException', 'XksProxyInvalidConfigurationException'],
    [500, 'InternalException', 'XksProxyInvalidResponseException'],
    [503, 'DependencyTimeoutException', 'XksProxyUriUnreachableException'],
    [429, 'ThrottlingException', 'XksProxyUriUnreachableException'],
    [400, 'ValidationException', 'XksProxyInvalidResponseException'],
  ]
  for (const [status, errorName, code] of cases) {
    proxy.behaviour = () => ({ status, body: { errorName, errorMessage: 'words of the owner' } })
    const error = await refused(create(), code)
    assert.ok(!(error.text ?? '').includes('words of the owner'))
  }
  proxy.behaviour = () => ({ status: 200, body: 'no JSON' })
  await refused(create(), 'XksProxyInvalidResponseException')
  await refused(create({ XksProxyUriEndpoint: 'https://nowhere.example.com' }), 'XksProxyUriUnreachableException')
  for (const address of ['127.0.0.1', '169.254.169.254', 'localhost', '2130706433']) {
    await refused(create({ XksProxyUriEndpoint: `https://${address}` }), 'XksProxyUriUnreachableException')
  }
  await proxy.close()
  await refused(create(), 'XksProxyUriUnreachableException')
  assert.equal(rows.rows.size, 0)
})

test('parameters that an external key store has not, or lacks', async () => {
  const without = (name: keyof typeof PARAMETERS) => create({ [name]: undefined })
  for (const name of [
    'XksProxyUriEndpoint',
    'XksProxyUriPath',
    'XksProxyAuthenticationCredential',
    'XksProxyConnectivity',
  ] as const) {
    await refused(without(name), 'ValidationException')
  }
  // Without a type it is AWS_CLOUDHSM, which has no proxy.
  await refused(without('CustomKeyStoreType'), 'ValidationException')
  await refused(create({ CloudHsmClusterId: 'cluster-1' }), 'ValidationException')
  await refused(create({ XksProxyVpcEndpointServiceName: 'x' }), 'ValidationException')
  await refused(create({ XksProxyConnectivity: 'VPC_ENDPOINT_SERVICE' }), 'XksProxyVpcEndpointServiceNotFoundException')
  await refused(run(CreateCustomKeyStore, PARAMETERS, 'user/nobody'), 'AccessDeniedException')
  assert.equal(proxy.received.length, 0)
})

test('name and URI are taken once in an account and Region, and there are ten at most', async () => {
  const both = await Promise.allSettled([create(), create({ XksProxyUriPath: '/other/kms/xks/v1' })])
  assert.deepEqual(both.map(one => one.status).sort(), ['fulfilled', 'rejected'])
  await refused(create(), 'CustomKeyStoreNameInUseException')
  await refused(
    create({ CustomKeyStoreName: 'b', XksProxyUriEndpoint: `https://${HOST.toUpperCase()}` }),
    'XksProxyUriInUseException',
  )
  for (let index = 1; index < 10; index += 1) {
    await create({ CustomKeyStoreName: `store ${index}`, XksProxyUriPath: `/p${index}/kms/xks/v1` })
  }
  await refused(create({ CustomKeyStoreName: 'more', XksProxyUriPath: '/more/kms/xks/v1' }), 'LimitExceededException')

  const seen: string[] = []
  let Marker: string | undefined
  do {
    const page = await run(DescribeCustomKeyStores, { Limit: 3, ...(Marker === undefined ? {} : { Marker }) })
    assert.equal(page.Truncated, page.NextMarker !== undefined)
    seen.push(...page.CustomKeyStores.map(entry => entry.CustomKeyStoreId))
    Marker = page.NextMarker
  } while (Marker !== undefined)
  assert.equal(new Set(seen).size, 10)
  await refused(run(DescribeCustomKeyStores, { Marker: 'forged' }), 'InvalidMarkerException')
  const named = await run(DescribeCustomKeyStores, { CustomKeyStoreName: 'store 4' })
  assert.equal(named.CustomKeyStores[0]?.CustomKeyStoreName, 'store 4')
  await refused(run(DescribeCustomKeyStores, { CustomKeyStoreName: 'store 44' }), 'CustomKeyStoreNotFoundException')
  await refused(run(DescribeCustomKeyStores, { CustomKeyStoreId: '../x' }), 'CustomKeyStoreNotFoundException')
  await refused(
    run(DescribeCustomKeyStores, { CustomKeyStoreId: seen[0] ?? '', CustomKeyStoreName: 'b' }),
    'ValidationException',
  )
})

test('connecting that fails says why; it must be disconnected before it is tried again', async () => {
  const id = await create()
  const cases: ReadonlyArray<readonly [string, string]> = [
    ['AuthenticationFailedException', 'INVALID_CREDENTIALS'],
    ['AccessDeniedException', 'XKS_PROXY_ACCESS_DENIED'],
    ['InvalidUriPathException', 'XKS_PROXY_INVALID_CONFIGURATION'],
    ['InternalException', 'XKS_PROXY_INVALID_RESPONSE'],
    ['DependencyTimeoutException', 'XKS_PROXY_TIMED_OUT'],
    ['Nonsense', 'XKS_PROXY_INVALID_RESPONSE'],
  ]
  for (const [errorName, code] of cases) {
    proxy.behaviour = () => ({ status: 400, body: { errorName } })
    await run(ConnectCustomKeyStore, { CustomKeyStoreId: id })
    assert.equal(await settled(id), 'FAILED')
    assert.equal((await describe(id)).ConnectionErrorCode, code)
    assert.equal(stores.connected(rowId(id)), false)
    await refused(run(ConnectCustomKeyStore, { CustomKeyStoreId: id }), 'CustomKeyStoreInvalidStateException')
    await refused(run(DeleteCustomKeyStore, { CustomKeyStoreId: id }), 'CustomKeyStoreInvalidStateException')
    await run(DisconnectCustomKeyStore, { CustomKeyStoreId: id })
    assert.equal((await describe(id)).ConnectionErrorCode, undefined)
  }
})

test('disconnected while it connects: it stays disconnected', async () => {
  const id = await create()
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  let asked = () => {}
  const arrived = new Promise<void>(resolve => {
    asked = resolve
  })
  proxy.behaviour = async received => {
    asked()
    await held
    return proxy.answer(received)
  }
  await run(ConnectCustomKeyStore, { CustomKeyStoreId: id })
  await arrived
  await run(DisconnectCustomKeyStore, { CustomKeyStoreId: id })
  const writes = rows.asserted.length
  release()
  proxy.behaviour = received => proxy.answer(received)
  await create({ CustomKeyStoreName: 'another', XksProxyUriPath: '/another/kms/xks/v1' })
  assert.equal((await describe(id)).ConnectionState, 'DISCONNECTED')
  assert.equal(rows.asserted.length, writes + 1)
})

test('connecting again what is connected, or on its way, changes nothing', async () => {
  const id = await connected()
  const writes = rows.asserted.length
  await run(ConnectCustomKeyStore, { CustomKeyStoreId: id })
  assert.equal(rows.asserted.length, writes)
})

test('cut off while connecting, and with the boundary away: it is taken up again', async () => {
  const id = await create()
  proxy.behaviour = () => undefined
  stores.close()
  await run(ConnectCustomKeyStore, { CustomKeyStoreId: id })
  assert.equal((await describe(id)).ConnectionState, 'CONNECTING')
  proxy.behaviour = received => proxy.answer(received)
  let away = 1
  rows.before = () => {
    if (away-- > 0) throw new BoundaryError('Unavailable')
  }
  let notReady = 2
  const listAll: KeyStoresOptions['replica']['listAll'] = (...page) =>
    notReady-- > 0 ? Promise.reject(new BoundaryError('Unavailable')) : rows.replica.listAll(...page)
  stores = open({ retryMs: 20, replica: { ...rows.replica, listAll } })
  assert.equal(await settled(id), 'CONNECTED')
  assert.equal(away, -1)
})

test('the credential and the path change while connected, and what is tried out first must work', async () => {
  const id = await connected()
  const next = { AccessKeyId: 'ANOTHERACCESSKEYIDENTIFIER', RawSecretAccessKey: 'b'.repeat(64) }
  proxy.behaviour = () => ({ status: 401, body: { errorName: 'AuthenticationFailedException' } })
  await refused(
    run(UpdateCustomKeyStore, { CustomKeyStoreId: id, XksProxyAuthenticationCredential: next }),
    'XksProxyIncorrectAuthenticationCredentialException',
  )
  assert.equal((await describe(id)).XksProxyConfiguration?.AccessKeyId, CREDENTIAL.AccessKeyId)
  proxy.behaviour = received => proxy.answer(received)
  await run(UpdateCustomKeyStore, {
    CustomKeyStoreId: id,
    XksProxyAuthenticationCredential: next,
    XksProxyUriPath: '/new/kms/xks/v1',
    NewCustomKeyStoreName: 'renamed',
  })
  await encrypt(id)
  const last = proxy.received.at(-1)
  assert.equal(last?.url, '/new/kms/xks/v1/keys/foo/encrypt')
  assert.ok(last.headers.authorization?.includes(`Credential=${next.AccessKeyId}/`))
  const { CustomKeyStoreName, XksProxyConfiguration, ConnectionState } = await describe(id)
  assert.deepEqual(
    [CustomKeyStoreName, XksProxyConfiguration?.AccessKeyId, ConnectionState],
    ['renamed', next.AccessKeyId, 'CONNECTED'],
  )
})

test('the endpoint changes only while disconnected, and names stay unique', async () => {
  const id = await connected()
  const move = { CustomKeyStoreId: id, XksProxyUriEndpoint: 'https://second.owner.example' }
  await refused(run(UpdateCustomKeyStore, move), 'CustomKeyStoreInvalidStateException')
  await run(DisconnectCustomKeyStore, { CustomKeyStoreId: id })
  // The proxy's certificate does not bear the second name.
  await refused(run(UpdateCustomKeyStore, move), 'XksProxyUriUnreachableException')
  await create({ CustomKeyStoreName: 'taken', XksProxyUriPath: '/taken/kms/xks/v1' })
  await refused(
    run(UpdateCustomKeyStore, { CustomKeyStoreId: id, NewCustomKeyStoreName: 'taken' }),
    'CustomKeyStoreNameInUseException',
  )
  await refused(
    run(UpdateCustomKeyStore, { CustomKeyStoreId: id, XksProxyUriPath: '/taken/kms/xks/v1' }),
    'XksProxyUriInUseException',
  )
  await run(UpdateCustomKeyStore, { CustomKeyStoreId: id, NewCustomKeyStoreName: 'owner' })
  await refused(run(UpdateCustomKeyStore, { CustomKeyStoreId: id }), 'ValidationException')
})

test('a change that came between is seen, and the own change made on top of it', async () => {
  const id = await create()
  let between = true
  rows.before = () => {
    if (!between) return
    between = false
    const row = rows.rows.get(`keystore ${rowId(id)}`)
    if (row !== undefined) rows.rows.set(`keystore ${rowId(id)}`, { ...row, revision: row.revision + 1 })
  }
  await run(UpdateCustomKeyStore, { CustomKeyStoreId: id, NewCustomKeyStoreName: 'after all' })
  assert.equal((await describe(id)).CustomKeyStoreName, 'after all')
})

test('a store that holds a key is not deleted', async () => {
  const id = await create()
  const key = {
    kind: 'key',
    id: `${REGION}/1`,
    scope: '',
    link: rowId(id),
    revision: 1,
    body: Buffer.from('x'),
    tag: randomBytes(32),
  } as const
  rows.rows.set('key 1', key)
  await refused(run(DeleteCustomKeyStore, { CustomKeyStoreId: id }), 'CustomKeyStoreHasCMKsException')
  rows.rows.delete('key 1')
  await run(DeleteCustomKeyStore, { CustomKeyStoreId: id })
})

test("an external key that is not fit for CreateKey, in AWS's words", async () => {
  const id = await connected()
  const cases: ReadonlyArray<readonly [number, object, string]> = [
    [
      200,
      { keySpec: 'AES_128', keyUsage: ['ENCRYPT', 'DECRYPT'], keyStatus: 'ENABLED' },
      'XksKeyInvalidConfigurationException',
    ],
    [
      200,
      { keySpec: 'AES_256', keyUsage: ['ENCRYPT', 'DECRYPT'], keyStatus: 'DISABLED' },
      'XksKeyInvalidConfigurationException',
    ],
    [404, { errorName: 'KeyNotFoundException' }, 'XksKeyNotFoundException'],
    [403, { errorName: 'AccessDeniedException' }, 'KMSInvalidStateException'],
    [401, { errorName: 'AuthenticationFailedException' }, 'CustomKeyStoreInvalidStateException'],
    [501, { errorName: 'UnsupportedOperationException' }, 'XksKeyInvalidConfigurationException'],
    [200, {}, 'CustomKeyStoreInvalidStateException'],
  ]
  for (const [status, body, code] of cases) {
    proxy.behaviour = () => ({ status, body })
    await refused(stores.checkKey(rowId(id), 'foo', REQUEST), code)
  }
  proxy.behaviour = () => ({ status: 200, body: HEALTH })
  await run(DisconnectCustomKeyStore, { CustomKeyStoreId: id })
  await refused(stores.checkKey(rowId(id), 'foo', REQUEST), 'CustomKeyStoreInvalidStateException')
  await refused(stores.checkKey(rowId('cks-00000000000000000'), 'foo', REQUEST), 'CustomKeyStoreInvalidStateException')
  assert.ok(failures.length >= cases.length)
})
