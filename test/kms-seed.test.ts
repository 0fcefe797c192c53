/** `holdfast kms --dev --seed FILE` as a program: the same keys in every run, on a kept folder and on a new one, and nowhere but with --dev. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connectControl } from '../src/boundary/client/control.ts'
import { BoundaryError } from '../src/boundary/words.ts'
import { defaultConfig, startKmsService } from '../src/kms/dev.ts'
import { applySeed } from '../src/kms/seed/apply.ts'
import { readSeed } from '../src/kms/seed/read.ts'
import { environmentOf, succeed } from './support/clients.ts'
import { readRecords } from './support/journal.ts'
import { type Kms, REGION, ROOT, startKms } from './support/kms.ts'
import { imported, refusalOf, refused, sdk } from './support/sdk.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-seed-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string): string => join(folder, name)

const [AES, SIGNING, HMAC, DISABLED, DOOMED, EMPTY, LOCKED] = [1, 2, 3, 4, 5, 6, 7].map(
  n => `5eed0000-0000-4000-8000-00000000000${n}`,
) as [string, string, string, string, string, string, string]
const MRK = 'mrk-5eed0000000000000000000000000001'
const OLD = 'f1'.repeat(32)
const NEW = 'f2'.repeat(32)
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const PEM = String(privateKey.export({ format: 'pem', type: 'pkcs1' }))

function seedOf(...materials: string[]): string {
  const policy = {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: { AWS: '000000000000' }, Action: 'kms:*', Resource: '*' },
      { Effect: 'Deny', Principal: '*', Action: 'kms:Encrypt', Resource: '*' },
    ],
  }
  return `Version: 1
Keys:
  - KeyId: ${AES}
    KeyMaterial: [${materials.map(each => `"${each}"`).join(', ')}]
    Aliases: [alias/app, alias/other]
    Tags: [{TagKey: team, TagValue: payments}]
    Description: for the app
  - {KeyId: ${SIGNING}, KeySpec: RSA_2048, KeyUsage: SIGN_VERIFY, PrivateKeyPem: ${JSON.stringify(PEM)}}
  - {KeyId: ${HMAC}, KeySpec: HMAC_256, KeyMaterial: ["${OLD}"]}
  - {KeyId: ${DISABLED}, KeyState: Disabled}
  - {KeyId: ${DOOMED}, KeyState: PendingDeletion, PendingWindowInDays: 8}
  - {KeyId: ${EMPTY}, Origin: EXTERNAL}
  - {KeyId: ${LOCKED}, Policy: ${JSON.stringify(policy)}}
  - {KeyId: ${MRK}, ReplicaRegions: [eu-central-1]}
`
}
writeFileSync(file('old.yaml'), seedOf(OLD))
writeFileSync(file('rotated.yaml'), seedOf(OLD, NEW))
const REGIONS = ['--regions', `${REGION},eu-central-1`]

async function running<T>(args: readonly string[], what: (kms: Kms) => Promise<T>): Promise<T> {
  const kms = await startKms(args)
  try {
    return await what(kms)
  } finally {
    await kms.stop()
  }
}

test('what is encrypted in one run opens in the next, in another folder, also after a rotation that the file tells of', async () => {
  const first = await running(['--seed', file('old.yaml'), ...REGIONS], async kms => {
    assert.equal(kms.line.seeded, 8)
    const client = sdk(kms.line.endpoint, kms.line)
    const { CiphertextBlob } = await client.encrypt({ KeyId: 'alias/app', Plaintext: Buffer.from('kept') })
    const multi = await client.encrypt({ KeyId: MRK, Plaintext: Buffer.from('regions') })
    client.destroy()
    return { data: kms.line.data, CiphertextBlob, multi: multi.CiphertextBlob }
  })
  assert.equal(existsSync(first.data), false)
  await running(['--seed', file('rotated.yaml'), ...REGIONS], async kms => {
    const client = sdk(kms.line.endpoint, kms.line)
    const { Plaintext, KeyId } = await client.decrypt({ CiphertextBlob: first.CiphertextBlob })
    assert.equal(Buffer.from(Plaintext ?? []).toString(), 'kept')
    assert.equal(KeyId, `arn:aws:kms:${REGION}:000000000000:key/${AES}`)
    const { Rotations } = await client.listKeyRotations({ KeyId: AES, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' })
    assert.deepEqual(Rotations?.map(({ KeyMaterialState }) => KeyMaterialState).sort(), ['CURRENT', 'NON_CURRENT'])
    client.destroy()
    const there = sdk(kms.line.endpoint, kms.line, 'eu-central-1')
    const replica = await there.decrypt({ CiphertextBlob: first.multi, KeyId: MRK })
    assert.equal(Buffer.from(replica.Plaintext ?? []).toString(), 'regions')
    there.destroy()
  })
})

test('the AWS CLI and the SDK find every key as the file has it', async () => {
  await running(['--seed', file('old.yaml'), ...REGIONS], async kms => {
    const env = environmentOf(kms)
    const aws = async (...args: string[]) => JSON.parse(await succeed('aws', ['kms', ...args, '--output', 'json'], env))
    const { KeyMetadata } = await aws('describe-key', '--key-id', 'alias/other')
    assert.deepEqual([KeyMetadata.KeyId, KeyMetadata.Description, KeyMetadata.Origin], [AES, 'for the app', 'AWS_KMS'])
    const { Tags } = await aws('list-resource-tags', '--key-id', AES)
    assert.deepEqual(Tags, [{ TagKey: 'team', TagValue: 'payments' }])
    const { Aliases } = await aws('list-aliases', '--key-id', AES)
    assert.deepEqual(
      Aliases.map(({ AliasName }: { AliasName: string }) => AliasName),
      ['alias/app', 'alias/other'],
    )

    const client = sdk(kms.line.endpoint, kms.line)
    const stateOf = async (KeyId: string) => (await client.describeKey({ KeyId })).KeyMetadata?.KeyState
    assert.deepEqual(await Promise.all([DISABLED, DOOMED, EMPTY].map(stateOf)), [
      'Disabled',
      'PendingDeletion',
      'PendingImport',
    ])
    const Plaintext = Buffer.from('x')
    await refused(client.encrypt({ KeyId: DISABLED, Plaintext }), 'Disabled')
    await refused(client.encrypt({ KeyId: LOCKED, Plaintext }), 'AccessDenied')
    await client.generateDataKey({ KeyId: LOCKED, KeySpec: 'AES_256' })
    await imported(client, EMPTY)
    assert.equal(await stateOf(EMPTY), 'Enabled')
    await client.cancelKeyDeletion({ KeyId: DOOMED })

    const mac = await client.generateMac({ KeyId: HMAC, MacAlgorithm: 'HMAC_SHA_256', Message: Plaintext })
    const expected = createHmac('sha256', Buffer.from(OLD, 'hex')).update(Plaintext).digest()
    assert.deepEqual(Buffer.from(mac.Mac ?? []), expected)

    const SigningAlgorithm = 'RSASSA_PKCS1_V1_5_SHA_256'
    const { Signature } = await client.sign({ KeyId: SIGNING, Message: Plaintext, SigningAlgorithm })
    writeFileSync(file('signature'), Signature ?? '')
    writeFileSync(file('message'), Plaintext)
    writeFileSync(file('public.pem'), publicKey.export({ format: 'pem', type: 'spki' }))
    const openssl = ['dgst', '-sha256', '-verify', file('public.pem'), '-signature', file('signature'), file('message')]
    assert.match(execFileSync('openssl', openssl, { encoding: 'utf8' }), /Verified OK/)
    client.destroy()

    const seeded = readRecords(kms.line.data).filter(({ record }) => record.boundaryOperation === 'seedKey')
    assert.equal(seeded.length, 8)
    for (const { record } of seeded) assert.equal(record.source, 'control')
  })
})

test('on a folder that is kept: the same file again makes nothing; another one is refused, and names the key', async () => {
  const data = file('kept')
  const args = (name: string): string[] => ['--data', data, '--seed', file(name), ...REGIONS]
  const blob = await running(args('old.yaml'), async kms => {
    const client = sdk(kms.line.endpoint, kms.line)
    const { CiphertextBlob } = await client.encrypt({ KeyId: AES, Plaintext: Buffer.from('kept') })
    await client.enableKey({ KeyId: DISABLED })
    client.destroy()
    return CiphertextBlob
  })
  await running(args('old.yaml'), async kms => {
    assert.equal(kms.line.seeded, 0)
    const client = sdk(kms.line.endpoint, kms.line)
    assert.equal(Buffer.from((await client.decrypt({ CiphertextBlob: blob })).Plaintext ?? []).toString(), 'kept')
    assert.equal((await client.describeKey({ KeyId: DISABLED })).KeyMetadata?.KeyState, 'Enabled')
    client.destroy()
  })
  await assert.rejects(startKms(args('rotated.yaml')), (error: Error) => {
    assert.match(error.message, /ended with 1: /)
    assert.match(error.message, new RegExp(`rotated.yaml: Keys.0 \\(KeyId ${AES}\\): is in this folder already`))
    return true
  })
})

const holdfast = (...args: string[]) =>
  spawnSync(join(ROOT, 'bin/holdfast'), ['kms', ...args], { encoding: 'utf8', cwd: folder })

test('a file with mistakes starts nothing, and each mistake has its line', () => {
  writeFileSync(file('wrong.yaml'), `Version: 1\nKeys:\n  - KeyId: ${AES}\n    KeyState: Gone\n  - KeyId: short\n`)
  const data = file('never-made')
  const { status, stderr, stdout } = holdfast('--dev', '--data', data, '--seed', file('wrong.yaml'))
  assert.deepEqual([status, stdout], [78, ''])
  assert.match(stderr, /wrong\.yaml:4: Keys\.0\.KeyState: must be one of Enabled/)
  assert.match(stderr, /wrong\.yaml:5: Keys\.1\.KeyId: must be a UUID/)
  assert.equal(existsSync(data), false)
  const check = holdfast('seed', 'check', file('wrong.yaml'))
  assert.deepEqual([check.status, check.stderr], [78, stderr])
  const right = holdfast('seed', 'check', file('old.yaml'), ...REGIONS, '--json')
  assert.equal(JSON.parse(right.stdout).keys.length, 8)
})

test('without --dev: the command refuses, and so does the boundary of a folder that was not made with it', async () => {
  const data = file('real')
  writeFileSync(file('kms.json'), JSON.stringify({ data, boundary: { root: { kind: 'keyfile', file: file('key') } } }))
  for (const flag of [['--seed', file('old.yaml')], ['--dangerously-accept-any-credentials']]) {
    const { status, stderr } = holdfast('--config', file('kms.json'), ...flag)
    assert.equal(status, 1)
    assert.match(stderr, /go with --dev only/)
  }
  assert.equal(existsSync(data), false)

  const config = defaultConfig({ data, port: 0, regions: [REGION, 'eu-central-1'], account: '000000000000' })
  const service = startKmsService(config, false)
  const control = connectControl({ socket: join(data, 'boundary', 'control.sock') })
  try {
    await service.ready
    const seed = readSeed(file('old.yaml'), { account: '000000000000', regions: [REGION, 'eu-central-1'] })
    await assert.rejects(applySeed(control, seed), /NotPermitted/)
    const [entry] = seed.entries
    assert.ok(entry)
    const notPermitted = (error: unknown) => error instanceof BoundaryError && error.code === 'NotPermitted'
    await assert.rejects(control.seedKey({ ...entry.key, rows: [] }, { operation: 'test' }), notPermitted)
    assert.equal((await control.status()).keys, 0)
  } finally {
    control.close()
    await service.stop()
  }
  const refusals = readRecords(data).filter(({ record }) => record.boundaryOperation === 'seedKey')
  assert.ok(refusals.length > 0)
  for (const { record } of refusals) assert.deepEqual([record.outcome, record.error], ['failed', 'NotPermitted'])
  // With the flag the folder does not start at all.
  const dev = holdfast('--dev', '--data', data, '--seed', file('old.yaml'), ...REGIONS)
  assert.equal(dev.status, 64)
  assert.match(dev.stderr, /was made without --dev/)
})

const UNSIGNED = ['-s', '-X', 'POST', '-H', 'Content-Type: application/x-amz-json-1.1']
const curl = (kms: Kms, operation: string, body: object, ...more: string[]) => {
  const target = ['-H', `X-Amz-Target: TrentService.${operation}`, '-d', JSON.stringify(body), ...more]
  return JSON.parse(execFileSync('curl', [...UNSIGNED, ...target, kms.line.endpoint], { encoding: 'utf8' }))
}

test('without the flag nobody gets in who is not known', async () => {
  await running(['--seed', file('old.yaml'), ...REGIONS], async kms => {
    assert.equal(curl(kms, 'ListKeys', {}).__type, 'MissingAuthenticationTokenException')
    const stranger = sdk(kms.line.endpoint, { accessKeyId: 'test', secretAccessKey: 'test' })
    assert.equal((await refusalOf(stranger.listKeys({})))?.name, 'UnrecognizedClientException')
    stranger.destroy()
    assert.equal(kms.line.anyCredentials, undefined)
  })
})

test('with --dangerously-accept-any-credentials everybody is root of an account, and every record says that nobody was asked', async () => {
  const danger = '--dangerously-accept-any-credentials'
  await running(['--seed', file('old.yaml'), ...REGIONS, danger], async kms => {
    assert.equal(kms.line.anyCredentials, true)
    assert.match(
      kms.stderr,
      /--dangerously-accept-any-credentials: every process and every user of this machine can call/,
    )
    const health = (await (await fetch(`${kms.line.operations}/health/ready`)).json()) as { dangers: string[] }
    assert.deepEqual(health.dangers, ['any credentials are accepted: whoever reaches the port is root of an account'])

    const unsigned = curl(kms, 'Encrypt', { KeyId: 'alias/app', Plaintext: 'eA==' })
    assert.equal(curl(kms, 'Decrypt', { CiphertextBlob: unsigned.CiphertextBlob }).Plaintext, 'eA==')
    // The key's own policy is in force for them as for everybody.
    assert.equal(curl(kms, 'Encrypt', { KeyId: LOCKED, Plaintext: 'eA==' }).__type, 'AccessDeniedException')
    // A page in a browser is not let in.
    const page = curl(kms, 'ListKeys', {}, '-H', 'Origin: http://localhost:3000')
    assert.equal(page.__type, 'MissingAuthenticationTokenException')

    const anyone = sdk(kms.line.endpoint, { accessKeyId: 'test', secretAccessKey: 'test' })
    assert.ok((await anyone.describeKey({ KeyId: AES })).KeyMetadata)
    const other = sdk(kms.line.endpoint, { accessKeyId: '444455556666', secretAccessKey: 'test' })
    const { KeyMetadata } = await other.createKey({})
    assert.equal(KeyMetadata?.AWSAccountId, '444455556666')
    const known = sdk(kms.line.endpoint, kms.line)
    await known.describeKey({ KeyId: AES })
    for (const client of [anyone, other, known]) client.destroy()
    const env = { ...environmentOf(kms), AWS_ACCESS_KEY_ID: 'any', AWS_SECRET_ACCESS_KEY: 'thing' }
    const identity = JSON.parse(await succeed('aws', ['sts', 'get-caller-identity', '--output', 'json'], env))
    assert.equal(identity.Arn, 'arn:aws:iam::000000000000:root')

    const records = readRecords(kms.line.data).filter(({ record }) => record.asserted.requestId !== undefined)
    assert.equal(records.length, 7)
    for (const { record } of records) {
      const { authentication, principal, accessKeyId } = record.asserted
      const asked = accessKeyId === kms.line.accessKeyId
      assert.equal(authentication, asked ? undefined : 'none')
      assert.match(principal ?? '', asked ? /:user\/developer$/ : /:root$/)
    }
  })
})

test('a hundred keys are made at one start; how long that takes is told and not judged', async () => {
  const Keys = Array.from({ length: 100 }, (_, n) => ({
    KeyId: `5eed0000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    Aliases: [`alias/key-${n}`],
    Tags: [{ TagKey: 'n', TagValue: String(n) }],
    ...(n % 4 === 0 ? { KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY', PrivateKeyPem: PEM } : {}),
  }))
  writeFileSync(file('hundred.json'), JSON.stringify({ Version: 1, Keys }))
  const from = performance.now()
  await running(['--seed', file('hundred.json')], async kms => {
    console.log(`ready with 100 keys, 25 of them RSA, after ${Math.round(performance.now() - from)} ms`)
    assert.equal(kms.line.seeded, 100)
  })
})
