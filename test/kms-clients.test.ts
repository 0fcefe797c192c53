/** The real `holdfast kms --dev`, its two processes, and real clients: the AWS SDK for JavaScript, the AWS CLI, curl. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { KMS } from '@aws-sdk/client-kms'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '..')

interface DevLine {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly accountId: string
}

let service: ChildProcess
let line: DevLine
let kms: KMS

before(async () => {
  service = spawn(join(root, 'bin/holdfast'), ['kms', '--dev', '--regions', 'us-east-1,eu-west-1'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [first] = await new Promise<string[]>((ready, failed) => {
    createInterface({ input: service.stdout as NodeJS.ReadableStream }).once('line', text => ready([text]))
    service.once('exit', code => failed(new Error(`holdfast kms --dev ended with ${code}`)))
  })
  line = JSON.parse(first ?? '') as DevLine
  const { accessKeyId, secretAccessKey } = line
  kms = new KMS({
    endpoint: line.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
  })
})

after(async () => {
  kms?.destroy()
  const ended = new Promise(done => service.once('exit', done))
  service.kill('SIGTERM')
  await ended
})

const named =
  (name: string, text = /.*/s) =>
  (error: unknown) => {
    const { name: actual, message } = error as Error
    assert.equal(actual, name)
    assert.match(message, text)
    return true
  }

test('the SDK: a key is made, encrypts, decrypts, and its context counts', async () => {
  const { KeyMetadata } = await kms.createKey({ Description: 'first', Tags: [{ TagKey: 'team', TagValue: 'a' }] })
  const KeyId = KeyMetadata?.Arn ?? ''
  const EncryptionContext = { purpose: 'test' }
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('hello'), EncryptionContext })
  const opened = await kms.decrypt({ CiphertextBlob, EncryptionContext })
  assert.equal(Buffer.from(opened.Plaintext ?? []).toString(), 'hello')
  assert.equal(opened.KeyId, KeyId)
  await assert.rejects(kms.decrypt({ CiphertextBlob }), named('InvalidCiphertextException'))
  const dataKey = await kms.generateDataKey({ KeyId, KeySpec: 'AES_256' })
  assert.equal(dataKey.Plaintext?.length, 32)
  const moved = await kms.reEncrypt({
    CiphertextBlob,
    SourceEncryptionContext: EncryptionContext,
    DestinationKeyId: KeyId,
  })
  assert.equal(
    Buffer.from((await kms.decrypt({ CiphertextBlob: moved.CiphertextBlob })).Plaintext ?? []).toString(),
    'hello',
  )
  assert.equal((await kms.generateRandom({ NumberOfBytes: 16 })).Plaintext?.length, 16)
})

test('the SDK: states are enforced at once, and in AWS’s words', async () => {
  const { KeyMetadata } = await kms.createKey({})
  const KeyId = KeyMetadata?.Arn ?? ''
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('x') })
  await kms.disableKey({ KeyId })
  await assert.rejects(kms.decrypt({ CiphertextBlob }), named('DisabledException', / is disabled\.$/))
  await kms.enableKey({ KeyId })
  await kms.decrypt({ CiphertextBlob })
  await kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
  await assert.rejects(kms.decrypt({ CiphertextBlob }), named('KMSInvalidStateException', /is pending deletion/))
  await kms.cancelKeyDeletion({ KeyId })
  assert.equal((await kms.describeKey({ KeyId })).KeyMetadata?.KeyState, 'Disabled')
})

test('the SDK: aliases, tags, policies, rotation', async () => {
  const { KeyMetadata } = await kms.createKey({})
  const KeyId = KeyMetadata?.KeyId ?? ''
  await kms.createAlias({ AliasName: 'alias/app/one', TargetKeyId: KeyId })
  await assert.rejects(
    kms.createAlias({ AliasName: 'alias/app/one', TargetKeyId: KeyId }),
    named('AlreadyExistsException'),
  )
  assert.equal((await kms.describeKey({ KeyId: 'alias/app/one' })).KeyMetadata?.KeyId, KeyId)
  assert.equal((await kms.listAliases({ KeyId })).Aliases?.[0]?.AliasName, 'alias/app/one')
  await kms.tagResource({ KeyId, Tags: [{ TagKey: 'a', TagValue: '1' }] })
  assert.deepEqual((await kms.listResourceTags({ KeyId })).Tags, [{ TagKey: 'a', TagValue: '1' }])
  const { Policy } = await kms.getKeyPolicy({ KeyId })
  const policy = JSON.parse(Policy ?? '')
  policy.Statement.push({ Effect: 'Deny', Principal: '*', Action: 'kms:Encrypt', Resource: '*' })
  await kms.putKeyPolicy({ KeyId, Policy: JSON.stringify(policy) })
  await assert.rejects(
    kms.encrypt({ KeyId, Plaintext: Buffer.from('x') }),
    named('AccessDeniedException', /explicit deny in a resource-based policy/),
  )
  await kms.enableKeyRotation({ KeyId, RotationPeriodInDays: 90 })
  assert.equal((await kms.getKeyRotationStatus({ KeyId })).RotationPeriodInDays, 90)
  await kms.rotateKeyOnDemand({ KeyId })
  assert.equal((await kms.listKeyRotations({ KeyId })).Rotations?.length, 1)
})

test('promise 11: bad input gets a clear error — strangers, unknown operations, and what is not built', async () => {
  const stranger = new KMS({
    endpoint: line.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: line.accessKeyId, secretAccessKey: 'not the secret' },
    maxAttempts: 1,
  })
  await assert.rejects(stranger.listKeys({}), named('InvalidSignatureException'))
  stranger.destroy()
  await assert.rejects(kms.listGrants({ KeyId: 'alias/x' }), named('NotFoundException'))
  await assert.rejects(
    kms.describeKey({ KeyId: 'fake-key-id' }),
    named('NotFoundException', /Invalid keyId 'fake-key-id'/),
  )
  const response = await fetch(line.endpoint, {
    method: 'POST',
    headers: { 'x-amz-target': 'TrentService.ListKeys' },
    body: '{}',
  })
  assert.equal(response.status, 400)
  assert.match(await response.text(), /MissingAuthenticationTokenException/)
})

test('the AWS CLI and curl', async () => {
  const aws = existsSync('/usr/bin/aws') ? '/usr/bin/aws' : 'aws'
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    AWS_ACCESS_KEY_ID: line.accessKeyId,
    AWS_SECRET_ACCESS_KEY: line.secretAccessKey,
    AWS_DEFAULT_REGION: 'eu-west-1',
  }
  const { stdout } = await run(aws, ['--endpoint-url', line.endpoint, '--output', 'json', 'kms', 'create-key'], { env })
  assert.match(JSON.parse(stdout).KeyMetadata.Arn, /^arn:aws:kms:eu-west-1:000000000000:key\//)
  const curl = await run('curl', [
    '--silent',
    '--aws-sigv4',
    'aws:amz:us-east-1:kms',
    '--user',
    `${line.accessKeyId}:${line.secretAccessKey}`,
    '-H',
    'content-type: application/x-amz-json-1.1',
    '-H',
    'x-amz-target: TrentService.ListKeys',
    '-d',
    '{"Limit":1}',
    line.endpoint,
  ])
  assert.equal(JSON.parse(curl.stdout).Truncated, true)
})
