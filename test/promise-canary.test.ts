/**
 * Key material and secrets nowhere: both real sides, with a canary in every sensitive member, unknown member, header and credential of every operation. Afterwards
 * store, journal, snapshots, tiles, log lines, metrics and the memory of the process that faces the network are searched. Every other member is only where it may be.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createCredential, createPrincipal, putPolicy, tagPrincipal } from '../src/kms/admin/index.ts'
import { OPERATIONS } from '../src/kms/operations/table.ts'
import { makeHierarchy } from './support/attestation.ts'
import { Canaries, contains, filesBelow } from './support/canaries.ts'
import { CanaryRecipients } from './support/canary-recipients.ts'
import { ApiClient, exchange } from './support/kms.ts'
import { memoryOf } from './support/memory.ts'
import { connectOwner, type OwnedStore, type Pair, startPair } from './support/pair.ts'
import { changesNothing, importOf, makeWorld, requestOf, type World } from './support/requests.ts'
import { decryptBody, encryptBody, metadata, SignerClient } from './support/xks-clients.ts'

/** Where a member may be found; a member without a line here may be nowhere. */
const STORE = ['provider store'] as const
const STORE_AND_JOURNAL = ['provider store', 'provider journal', 'provider snapshot'] as const
const JOURNAL = ['provider journal'] as const
const OWNER_JOURNAL = ['owner journal'] as const

const folder = mkdtempSync(join(tmpdir(), 'holdfast-canary-'))
const canaries = new Canaries()
const material = randomBytes(32)
/** PKCS #8, DER. */
const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  format: 'der',
  type: 'pkcs8',
})
let pair: Pair
let client: ApiClient
let store: OwnedStore
let world: World
let recipients: CanaryRecipients
let frontEnd = 0

/** A header of every request; only the user agent may be kept, in the record. */
const HEADERS = {
  'user-agent': canaries.text('header user-agent', ...JOURNAL),
  'x-canary': canaries.text('header x-canary'),
  cookie: canaries.text('header cookie'),
  referer: `https://${canaries.text('header referer')}.example/`,
  'x-forwarded-for': canaries.text('header x-forwarded-for'),
  [`x-${canaries.text('name of a header')}`]: 'x',
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** A secret that is encrypted: as its clear text, and as the base64 in which it is sent. */
const plaintext = (label: string): string => base64(canaries.text(label))

function keep(label: string, base64Text: unknown): void {
  canaries.secret(label, Buffer.from(String(base64Text), 'base64'))
}

/** Neither an Authorization field nor its signature may be kept. */
const onAuthorization = (value: string): void => canaries.clear('an Authorization field', value.slice(-64))
const ask = (operation: string, input: object | Buffer) =>
  client.call(operation, input, { headers: HEADERS, onAuthorization })
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers as clients do
async function ok(operation: string, input: object): Promise<any> {
  const { status, text, json } = await ask(operation, input)
  assert.equal(status, 200, `${operation}: ${text}`)
  return json
}

before(async () => {
  const administrator = {
    accessKeyId: `AKIA${'C'.repeat(16)}`,
    secretAccessKey: Buffer.from(canaries.text('secret of the administrator')),
  }
  const hierarchy = await makeHierarchy()
  const root = join(folder, 'root.pem')
  writeFileSync(root, hierarchy.rootPem)
  pair = await startPair(folder, ['one'], administrator, undefined, [root])
  client = pair.client
  frontEnd = pair.provider.pids().frontEnd ?? 0
  const accessKeyId = 'CANARYCANARYCANARYCANARY22'
  const secretAccessKey = Buffer.from(canaries.text('secret of the XKS credential'))
  store = await connectOwner(pair, 'one', { accessKeyId, secretAccessKey })
  world = await makeWorld(client)
  recipients = new CanaryRecipients({ canaries, hierarchy, ask, world, external: store.KeyId })
})
after(async () => {
  await pair?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function useKeys(): Promise<void> {
  const context = (label: string, ...places: readonly string[]) => ({
    [canaries.text(`name in ${label}`, ...places)]: canaries.text(`value in ${label}`, ...places),
  })
  for (const [custody, KeyId] of [
    ['local', world.KeyId],
    ['external', store.KeyId],
  ] as const) {
    const EncryptionContext = context(`encryption context, ${custody}`, ...JOURNAL)
    const Plaintext = plaintext(`Plaintext, ${custody}`)
    const { CiphertextBlob } = await ok('Encrypt', { KeyId, Plaintext, EncryptionContext })
    assert.equal((await ok('Decrypt', { CiphertextBlob, EncryptionContext })).Plaintext, Plaintext)
    await ok('ReEncrypt', {
      CiphertextBlob,
      SourceEncryptionContext: EncryptionContext,
      DestinationKeyId: world.KeyId,
      DestinationEncryptionContext: context(`destination context, ${custody}`, ...JOURNAL),
    })
    const dataKey = await ok('GenerateDataKey', { KeyId, KeySpec: 'AES_256', EncryptionContext })
    keep(`data key, ${custody}`, dataKey.Plaintext)
    const without = await ok('GenerateDataKeyWithoutPlaintext', { KeyId, NumberOfBytes: 64 })
    keep(`data key without plaintext, ${custody}`, (await ok('Decrypt', without)).Plaintext)
    const wrong = { EncryptionContext: context(`a wrong context, ${custody}`, ...JOURNAL) }
    assert.equal((await ask('Decrypt', { CiphertextBlob, ...wrong })).status, 400)
  }
  keep('random bytes', (await ok('GenerateRandom', { NumberOfBytes: 64 })).Plaintext)
}

/** Keys of the other usages: what goes in, and what comes out, is nowhere afterwards. */
async function useOtherKeys(): Promise<void> {
  const Message = plaintext('Message to sign')
  const signing = { KeyId: world.signing, Message, SigningAlgorithm: 'ECDSA_SHA_256' }
  const { Signature } = await ok('Sign', signing)
  keep('Signature', Signature)
  await ok('Verify', { ...signing, Signature })
  assert.equal((await ask('Verify', { ...signing, Message: plaintext('another Message'), Signature })).status, 400)
  const mac = { KeyId: world.mac, Message: plaintext('Message for a MAC'), MacAlgorithm: 'HMAC_SHA_256' }
  const { Mac } = await ok('GenerateMac', mac)
  keep('Mac', Mac)
  await ok('VerifyMac', { ...mac, Mac })
  assert.equal((await ask('VerifyMac', { ...mac, Mac: plaintext('a wrong Mac') })).status, 400)
  const peer = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })
  const PublicKey = peer.toString('base64')
  // The record names a peer by the digest of its key.
  canaries.secret('PublicKey of a peer', peer.subarray(-64))
  const agreement = { KeyId: world.agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey }
  keep('SharedSecret of an agreement', (await ok('DeriveSharedSecret', agreement)).SharedSecret)
  const kem = { KeyId: world.kem, EncapsulationAlgorithm: 'ML_KEM' }
  const { SharedSecret, SharedSecretCiphertextBlob } = await ok('Encapsulate', kem)
  keep('SharedSecret of an encapsulation', SharedSecret)
  keep('SharedSecretCiphertextBlob', SharedSecretCiphertextBlob)
  assert.equal((await ok('Decapsulate', { ...kem, SharedSecretCiphertextBlob })).SharedSecret, SharedSecret)
  const EncryptionContext = { [canaries.text('name in a pair’s context', ...JOURNAL)]: 'x' }
  const pair = { KeyId: world.KeyId, KeyPairSpec: 'ECC_NIST_P256', EncryptionContext }
  keep('PrivateKeyPlaintext', (await ok('GenerateDataKeyPair', pair)).PrivateKeyPlaintext)
  const { PrivateKeyCiphertextBlob } = await ok('GenerateDataKeyPairWithoutPlaintext', pair)
  const opened = await ok('Decrypt', { CiphertextBlob: PrivateKeyCiphertextBlob, EncryptionContext })
  keep('private half of a pair without plaintext', opened.Plaintext)
  const { KeyMetadata } = await ok('CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })
  const rsa = { KeyId: KeyMetadata.KeyId, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }
  const { CiphertextBlob } = await ok('Encrypt', { ...rsa, Plaintext: plaintext('Plaintext, RSA') })
  await ok('Decrypt', { ...rsa, CiphertextBlob })
  await ok('ReEncrypt', {
    CiphertextBlob,
    SourceKeyId: rsa.KeyId,
    SourceEncryptionAlgorithm: rsa.EncryptionAlgorithm,
    DestinationKeyId: world.KeyId,
  })
  const external = await ok('CreateKey', { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', Origin: 'EXTERNAL' })
  const { KeyId } = external.KeyMetadata
  canaries.secret('imported private key', privateKey)
  await ok('ImportKeyMaterial', await importOf(client, KeyId, privateKey))
  await ok('Sign', { ...signing, KeyId })
}

async function manageKeys(): Promise<void> {
  const tag = () => [{ TagKey: canaries.text('TagKey', ...STORE), TagValue: canaries.text('TagValue', ...STORE) }]
  const allowed = { Effect: 'Allow', Principal: { AWS: '*' }, Action: 'kms:*', Resource: '*' }
  const Policy = () =>
    JSON.stringify({ Version: '2012-10-17', Statement: [{ ...allowed, Sid: canaries.text('Policy', ...STORE) }] })
  const Description = () => canaries.text('Description', ...STORE)
  const { KeyMetadata } = await ok('CreateKey', { Description: Description(), Tags: tag(), Policy: Policy() })
  const { KeyId } = KeyMetadata
  await ok('UpdateKeyDescription', { KeyId, Description: Description() })
  const Tags = tag()
  await ok('TagResource', { KeyId, Tags })
  await ok('UntagResource', { KeyId, TagKeys: [Tags[0]?.TagKey] })
  await ok('PutKeyPolicy', { KeyId, Policy: Policy() })
  const AliasName = `alias/${canaries.text('AliasName', ...STORE_AND_JOURNAL)}`
  await ok('CreateAlias', { AliasName, TargetKeyId: KeyId })
  await ok('UpdateAlias', { AliasName, TargetKeyId: world.KeyId })
  await ok('Encrypt', { KeyId: AliasName, Plaintext: plaintext('Plaintext by alias') })
  await ok('DeleteAlias', { AliasName })
  for (const operation of ['EnableKeyRotation', 'RotateKeyOnDemand', 'DisableKeyRotation', 'DisableKey', 'EnableKey'])
    await ok(operation, { KeyId })
  await ok('ScheduleKeyDeletion', { KeyId })
  await ok('CancelKeyDeletion', { KeyId })
  canaries.secret('imported key material', material)
  const imported = await importOf(client, world.external, material)
  const KeyMaterialDescription = canaries.text('KeyMaterialDescription', ...STORE)
  keep('wrapped key material', imported.EncryptedKeyMaterial)
  await ok('ImportKeyMaterial', { ...imported, ImportType: 'NEW_KEY_MATERIAL', KeyMaterialDescription })
  await ok('Encrypt', { KeyId: world.external, Plaintext: plaintext('Plaintext under imported material') })
}

async function manageStores(): Promise<void> {
  const { CustomKeyStoreId } = store
  await ok('DisconnectCustomKeyStore', { CustomKeyStoreId })
  const refused = await ask('UpdateCustomKeyStore', {
    CustomKeyStoreId,
    XksProxyAuthenticationCredential: {
      AccessKeyId: 'WRONGCANARYWRONGCANARY2222',
      RawSecretAccessKey: canaries.text('RawSecretAccessKey that is wrong'),
    },
  })
  assert.equal(refused.status, 400, refused.text)
  const NewCustomKeyStoreName = canaries.text('NewCustomKeyStoreName', ...STORE_AND_JOURNAL)
  await ok('UpdateCustomKeyStore', { CustomKeyStoreId, NewCustomKeyStoreName })
  await ok('DescribeCustomKeyStores', { CustomKeyStoreName: NewCustomKeyStoreName })
  const sensitive = { KeyStorePassword: canaries.text('KeyStorePassword') }
  assert.equal((await ask('UpdateCustomKeyStore', { CustomKeyStoreId, ...sensitive })).status, 400)
}

/** Members whose value stands in the record even where the request is refused: the name that it was about. */
const SUBJECTS: ReadonlySet<string> = new Set(['AliasName', 'CustomKeyStoreId', 'CustomKeyStoreName'])

/** Every operation: unknown members, then each of its members as something else than it should be, then bodies that are no request. */
async function misuse(): Promise<void> {
  for (const { name } of OPERATIONS) {
    const request = requestOf(name, world)
    const unknown = {
      [canaries.text(`name of an unknown member of ${name}`)]: canaries.text(`unknown member of ${name}`),
      DryRun: true,
    }
    // What changes something is sent in a form that is refused after the members were read.
    await ask(name, {
      ...request,
      ...unknown,
      ...(changesNothing(name) ? {} : { KeyId: {}, AliasName: {}, CustomKeyStoreId: {} }),
    })
    for (const member of Object.keys(request)) {
      if (name === 'UpdateKeyDescription' && member === 'Description') continue
      const places = SUBJECTS.has(member) ? JOURNAL : []
      await ask(name, { ...request, [member]: canaries.text(`${name}.${member}`, ...places) })
      await ask(name, { ...request, [member]: { nested: canaries.text(`${name}.${member} as an object`) } })
    }
    await ask(name, Buffer.from(`{"${canaries.text(`a body of ${name} that is no JSON`)}`))
  }
  await ask(canaries.text('no operation').replace(/\d/g, ''), {})
}

/** Who cannot sign, or signs for something else: nothing that strangers say is kept. */
async function strangers(): Promise<void> {
  const { hostname, port } = new URL(pair.endpoint)
  const raw = (options: http.RequestOptions, body: string) =>
    exchange({ hostname, port, method: 'POST', path: '/', ...options }, Buffer.from(body))
  await raw({ headers: { authorization: `Bearer ${canaries.text('bearer token')}` } }, canaries.text('unsigned body'))
  await raw({ path: `/${canaries.text('path')}?${canaries.text('query')}=${canaries.text('value in a query')}` }, '')
  const query = `X-Amz-Credential=${canaries.text('X-Amz-Credential')}&X-Amz-Signature=${canaries.text('X-Amz-Signature')}`
  await raw({ path: `/?${query}`, method: 'GET' }, '')
  for (const credentials of [
    { accessKeyId: `AKIA${'9'.repeat(16)}`, secretAccessKey: canaries.text('secret that nobody has') },
    { ...pair.administrator, secretAccessKey: canaries.text('secret that is wrong') },
  ]) {
    const stranger = new ApiClient(pair.endpoint, credentials)
    const { status } = await stranger.call(
      'Encrypt',
      { Plaintext: plaintext('Plaintext of a stranger') },
      { headers: HEADERS },
    )
    assert.equal(status, 400)
    stranger.close()
  }
  const token = { 'x-amz-security-token': canaries.text('x-amz-security-token') }
  assert.equal((await client.call('ListKeys', {}, { headers: token })).status, 400)
}

/** The owner's proxy, asked as a provider asks it. */
async function askTheOwner(): Promise<void> {
  const provider = new SignerClient(
    {
      endpoint: `https://127.0.0.1:${pair.proxyPort}`,
      pathPrefix: 'one',
      ...store.credential,
      caFile: pair.caFile,
      client: pair.clientCertificate,
    },
    { servername: 'one.owner.example' },
  )
  const claims = {
    ...metadata('Encrypt'),
    awsPrincipalArn: canaries.text('awsPrincipalArn', ...OWNER_JOURNAL),
    kmsKeyArn: canaries.text('kmsKeyArn', ...OWNER_JOURNAL),
    kmsRequestId: canaries.text('kmsRequestId', ...OWNER_JOURNAL),
    kmsViaService: canaries.text('kmsViaService', ...OWNER_JOURNAL),
    [canaries.text('name of an unknown claim')]: canaries.text('unknown claim'),
  }
  const aad = canaries.text('additionalAuthenticatedData')
  const request = encryptBody(Buffer.from(canaries.text('plaintext for the owner')), {
    requestMetadata: claims,
    additionalAuthenticatedData: base64(aad),
    [canaries.text('name of an unknown member for the owner')]: canaries.text('unknown member for the owner'),
  })
  const made = await provider.send({ path: 'keys/vault/encrypt', body: request })
  assert.equal(made.status, 200, made.text)
  const opened = await provider.send({
    path: 'keys/vault/decrypt',
    body: decryptBody(made, { additionalAuthenticatedData: base64(aad) }),
  })
  assert.equal(opened.status, 200, opened.text)
  const wrong = decryptBody(made, { additionalAuthenticatedData: base64(canaries.text('another additional data')) })
  assert.equal((await provider.send({ path: 'keys/vault/decrypt', body: wrong })).status, 400)
  for (const body of [
    `{"${canaries.text('no JSON for the owner')}`,
    { plaintext: canaries.text('plaintext, no base64') },
  ])
    assert.equal((await provider.send({ path: 'keys/vault/encrypt', body })).status, 400)
  const secretAccessKey = canaries.text('wrong secret for the owner')
  assert.equal((await provider.send({ path: 'health', secretAccessKey, body: {} })).status, 401)
  provider.close()
}

async function administer(): Promise<void> {
  const control = pair.providerControl()
  const arn = `arn:aws:iam::111122223333:user/${canaries.text('principal', ...STORE_AND_JOURNAL)}`
  await createPrincipal(control, arn, { [canaries.text('tag of a principal', ...STORE)]: 'x' })
  await tagPrincipal(control, arn, { another: canaries.text('tag value of a principal', ...STORE) })
  const Sid = canaries.text('identity policy', ...STORE)
  const Statement = [{ Sid, Effect: 'Allow', Action: 'kms:*', Resource: '*' }]
  await putPolicy(control, arn, 'all', JSON.stringify({ Version: '2012-10-17', Statement }))
  const secretAccessKey = Buffer.from(canaries.text('secret that was given'))
  await createCredential(control, arn, { accessKeyId: `AKIA${'G'.repeat(16)}`, secretAccessKey })
  const user = new ApiClient(pair.endpoint, {
    accessKeyId: `AKIA${'G'.repeat(16)}`,
    secretAccessKey: secretAccessKey.toString(),
  })
  await user.ok('ListKeys', {})
  user.close()
  const made = await createCredential(control, arn)
  canaries.secret(
    'secret that was made',
    made.secretAccessKey.reveal(bytes => Buffer.from(bytes)),
  )
  control.close()
}

function placeOf(side: string, name: string): string {
  if (name.startsWith('front-end')) return `${side} store`
  for (const part of ['journal', 'snapshot']) if (name.startsWith(join('boundary', part))) return `${side} ${part}`
  return `${side} boundary`
}

const page = (url: string): Promise<Buffer> =>
  new Promise((done, failed) => {
    http
      .get(url, response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('end', () => done(Buffer.concat(chunks)))
      })
      .on('error', failed)
  })

test('promise 1: every operation is driven with a canary in everything that it is given', async () => {
  await useKeys()
  await useOtherKeys()
  await recipients.use()
  await recipients.misuse()
  await manageKeys()
  await manageStores()
  await misuse()
  await strangers()
  await askTheOwner()
  await administer()
})

test('promise 1: key material never enters the memory of the process that faces the network', async () => {
  assert.equal(pair.provider.pids().frontEnd, frontEnd, 'it has not been started anew meanwhile')
  const secret = Buffer.from(pair.administrator.secretAccessKey)
  // The private number alone: 32 bytes behind the heads of PKCS #8 and of SEC 1.
  const scalar = privateKey.subarray(36, 68)
  let sees = false
  for (const part of memoryOf(frontEnd)) {
    sees ||= part.includes(secret)
    assert.ok(!contains(part, material), 'imported material is in the front end’s memory')
    assert.ok(!contains(part, scalar), 'an imported private key is in the front end’s memory')
    for (const [label, opened] of recipients.opened)
      assert.ok(!contains(part, opened), `${label}, for a recipient, is in the front end’s memory`)
  }
  assert.ok(sees, 'the search sees what the front end must know: the secret that signatures are verified with')
})

test('promise 1: no secret is in store, journal, snapshots, tiles, log lines or metrics, and all else is only where it may be', async () => {
  const metrics = await Promise.all(
    pair.operations.flatMap(url =>
      ['/metrics', '/health/ready', '/health/live'].map(path => page(new URL(path, url).href)),
    ),
  )
  await pair.stop()
  const misplaced: string[] = []
  const kept = new Map<string, Buffer>()
  for (const [side, data] of [
    ['provider', pair.providerData],
    ['owner', pair.ownerData],
  ] as const) {
    const files = filesBelow(data)
    for (const { name, content } of files) {
      const place = placeOf(side, name)
      kept.set(place, Buffer.concat([kept.get(place) ?? Buffer.alloc(0), content]))
      if (name !== 'root.key') misplaced.push(...canaries.misplaced(content, place, name))
    }
    const root = files.find(({ name }) => name === 'root.key')
    assert.ok(root)
    for (const { name, content } of files) {
      if (name !== 'root.key' && contains(content, root.content)) misplaced.push(`the root key in ${name}`)
    }
  }
  const lines = Buffer.from(pair.log())
  misplaced.push(...canaries.misplaced(lines, 'log lines', 'stderr'))
  for (const each of metrics) misplaced.push(...canaries.misplaced(each, 'metrics', 'an operator’s page'))
  assert.deepEqual(misplaced, [])
  // The search sees what is there: otherwise it would find nothing anywhere.
  const store = canaries.present(kept.get('provider store') ?? Buffer.alloc(0))
  for (const label of [
    'Description',
    'TagKey',
    'TagValue',
    'Policy',
    'AliasName',
    'KeyMaterialDescription',
    'principal',
  ])
    assert.ok(store.has(label), `${label} should be in the store`)
  const journal = canaries.present(kept.get('provider journal') ?? Buffer.alloc(0))
  for (const label of [
    'value in encryption context, local',
    'header user-agent',
    'AliasName',
    'principal',
    'module_id',
  ])
    assert.ok(journal.has(label), `${label} should be in the records`)
  const owners = canaries.present(kept.get('owner journal') ?? Buffer.alloc(0))
  for (const label of ['awsPrincipalArn', 'kmsRequestId']) assert.ok(owners.has(label), label)
  assert.ok(lines.length > 0 && metrics.some(each => each.includes('# TYPE')))
})
