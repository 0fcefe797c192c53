/** `holdfast kms` as an operator runs it: from a configuration, over TLS, locked until it is unlocked, and with its boundary gone; and STS beside it. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { KMS } from '@aws-sdk/client-kms'
import { TestAuthority } from './support/certificates.ts'
import { type Credentials, gone, ROOT, startKms } from './support/kms.ts'
import { holdfast, newKey, refusalOf, refused, sdk } from './support/sdk.ts'

const run = promisify(execFile)
const REGION = 'eu-central-1'
const PASSPHRASE = 'correct horse battery staple'

interface Ready {
  readonly endpoint: string
  readonly operations: string
  readonly pid: number
}

let folder: string
let authority: TestAuthority
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-service-'))
  authority = await TestAuthority.make(folder, 'root')
})
after(() => rm(folder, { recursive: true, force: true }))

class Running {
  readonly child: ChildProcess
  readonly ready: Ready
  stderr = ''

  constructor(child: ChildProcess, ready: Ready) {
    this.child = child
    this.ready = ready
  }

  static async start(file: string): Promise<Running> {
    const child = spawn(join(ROOT, 'bin/holdfast'), ['kms', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stderr = ''
    child.stderr?.on('data', chunk => {
      stderr += String(chunk)
      if (running) running.stderr = stderr
    })
    let running: Running | undefined
    const line = await new Promise<string>((ready, failed) => {
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', ready)
      child.once('exit', code => failed(new Error(`holdfast kms ended with ${code}: ${stderr}`)))
    })
    running = new Running(child, JSON.parse(line) as Ready)
    running.stderr = stderr
    return running
  }

  /** Resolves when it has written this. */
  async says(words: string): Promise<void> {
    for (const end = Date.now() + 10_000; !this.stderr.includes(words); await delay(10)) {
      assert.ok(Date.now() < end, `it never said: ${words}\n${this.stderr}`)
    }
  }

  async stop(): Promise<void> {
    const ended = new Promise(done => this.child.once('exit', done))
    this.child.kill('SIGTERM')
    await ended
  }
}

/** The commands that the first start prints, run as they are printed; the credential that the last one shows. */
async function firstSteps(text: string): Promise<Credentials> {
  const commands = [...text.matchAll(/^ {2}holdfast (.*)$/gm)].map(([, command = '']) => command.split(' '))
  assert.equal(commands.length, 3, text)
  let shown = ''
  for (const command of commands) shown = (await holdfast(...command)).stdout
  const found = /(AKIA[A-Z2-7]{16})[\s\S]*?([A-Za-z0-9+/]{40})/.exec(shown)
  assert.ok(found, shown)
  return { accessKeyId: found[1] ?? '', secretAccessKey: found[2] ?? '' }
}

async function unlock(data: string, passphrase: string): Promise<string> {
  const child = spawn(join(ROOT, 'bin/holdfast'), ['unlock', '--data', data], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      said += String(chunk)
    })
  }
  child.stdin.end(`${passphrase}\n`)
  await new Promise(done => child.once('close', done))
  return said
}

describe('holdfast kms --config', () => {
  test('TLS, the first principal as the first start says, limits, quotas, services, log level, and the operator’s listener', async () => {
    const data = join(folder, 'tls')
    const server = await authority.issue('api', { commonName: 'localhost', dnsNames: ['localhost'], use: 'server' })
    const file = join(folder, 'tls.json')
    const config = {
      data,
      listen: { host: '127.0.0.1', port: 0, tls: server },
      regions: [REGION],
      boundary: { root: { kind: 'keyfile', file: join(folder, 'tls.root') } },
      limits: { bodyBytes: 8192 },
      services: ['objects', 'archive'],
      quotas: { keys: 2, onDemandRotations: 1, requests: { lists: 0.001 } },
      logging: { level: 'warn' },
    }
    await writeFile(file, JSON.stringify(config))
    const service = await Running.start(file)
    const ca = await readFile(authority.caFile)
    let kms: KMS | undefined
    try {
      await service.says('aws kms create-key')
      assert.doesNotMatch(service.stderr, /"level":"info","time":\d+,"name":"kms"/)
      const credentials = await firstSteps(service.stderr)
      const endpoint = service.ready.endpoint.replace('127.0.0.1', 'localhost')
      assert.match(endpoint, /^https:/)
      const requestHandler = { httpsAgent: new Agent({ ca }) }
      kms = new KMS({ endpoint, region: REGION, credentials, requestHandler, maxAttempts: 1 })
      const { arn } = await newKey(kms)
      const { Aliases = [] } = await kms.listAliases({})
      assert.deepEqual(
        Aliases.map(({ AliasName, TargetKeyId }) => [AliasName, TargetKeyId]),
        [
          ['alias/aws/archive', undefined],
          ['alias/aws/objects', undefined],
        ],
      )
      await refused(kms.listAliases({}), 'Throttling', /exceeded the rate at which you may call KMS/)
      const rotated = await newKey(kms)
      await kms.rotateKeyOnDemand({ KeyId: rotated.id })
      await refused(kms.rotateKeyOnDemand({ KeyId: rotated.id }), 'LimitExceeded')
      await refused(kms.createKey({}), 'LimitExceeded', /The limit is 2 keys\./)
      const secure = { Bool: { 'aws:SecureTransport': 'true' } }
      const Statement = [
        { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::111122223333:root` }, Action: 'kms:*', Resource: '*' },
        { Effect: 'Deny', Principal: '*', Action: 'kms:Encrypt', Resource: '*', Condition: secure },
      ]
      await kms.putKeyPolicy({ KeyId: arn, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) })
      await refused(kms.encrypt({ KeyId: arn, Plaintext: Buffer.from('x') }), 'AccessDenied')
      const large = await refusalOf(kms.createKey({ Policy: 'x'.repeat(9000) }))
      assert.equal(large?.name, 'RequestEntityTooLargeException')
      const health = await fetch(`${service.ready.operations}/health/ready`)
      assert.equal(health.status, 200)
      const metrics = await (await fetch(`${service.ready.operations}/metrics`)).text()
      assert.match(metrics, /operation="CreateKey"/)
    } finally {
      kms?.destroy()
      await service.stop()
    }
    const again = await Running.start(file)
    await again.stop()
    assert.doesNotMatch(again.stderr, /There is no account yet/)
  })

  test('a passphrase: 5xx at once while it is locked, unlocked by the command, and locked again when the boundary was killed', async () => {
    const data = join(folder, 'locked')
    const file = join(folder, 'locked.json')
    const root = { kind: 'passphrase' }
    await writeFile(file, JSON.stringify({ data, listen: { port: 0 }, regions: [REGION], boundary: { root } }))
    const service = await Running.start(file)
    let kms: KMS | undefined
    try {
      await service.says('holdfast unlock')
      const stranger = sdk(service.ready.endpoint, { accessKeyId: 'A'.repeat(20), secretAccessKey: 'x' }, REGION)
      await unavailable(stranger)
      stranger.destroy()
      assert.equal((await fetch(`${service.ready.operations}/health/ready`)).status, 503)
      assert.equal((await fetch(`${service.ready.operations}/health/live`)).status, 200)
      assert.match(await unlock(data, PASSPHRASE), /Unlocked/)
      await service.says('aws kms create-key')
      const credentials = await firstSteps(service.stderr)
      kms = sdk(service.ready.endpoint, credentials, REGION)
      const { id: KeyId } = await newKey(kms)
      const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('kept') })

      const killed = boundaryOf(service.ready.pid)
      process.kill(killed, 'SIGKILL')
      await gone(killed)
      await unavailable(kms)
      await service.says('ready, and locked')
      await unavailable(kms)
      for (const end = Date.now() + 10_000; ; await delay(20)) {
        if ((await unlock(data, 'not the passphrase')).includes('passphrase')) break
        assert.ok(Date.now() < end)
      }
      await unavailable(kms)
      for (const end = Date.now() + 20_000; !/Unlocked/.test(await unlock(data, PASSPHRASE)); await delay(100)) {
        assert.ok(Date.now() < end)
      }
      for (const end = Date.now() + 10_000; ; await delay(10)) {
        if ((await refusalOf(kms.describeKey({ KeyId }))) === undefined) break
        assert.ok(Date.now() < end)
      }
      assert.equal(Buffer.from((await kms.decrypt({ CiphertextBlob })).Plaintext ?? []).toString(), 'kept')
    } finally {
      kms?.destroy()
      await service.stop()
    }
  })

  /** Answered with 500 and without waiting. */
  async function unavailable(kms: KMS): Promise<void> {
    const start = performance.now()
    const refusal = await refusalOf(kms.listKeys({}))
    assert.equal(refusal?.name, 'KMSInternalException')
    assert.equal(refusal?.status, 500)
    assert.ok(performance.now() - start < 1000)
  }
})

/** The boundary below this supervisor. */
function boundaryOf(supervisor: number): number {
  const children = readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8').trim().split(' ')
  const found = children.find(pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/service/main'))
  assert.ok(found)
  return Number(found)
}

describe('holdfast kms --dev', () => {
  test('its line, a credential that was asked for, a restart on the same folder, and STS through the AWS CLI', async () => {
    const HOLDFAST_DEV_ACCESS_KEY_ID = 'AKIADEVELOPMENTXXXXX'
    const HOLDFAST_DEV_SECRET_ACCESS_KEY = 'a-secret-of-forty-characters-no-more....'
    const env = { HOLDFAST_DEV_ACCESS_KEY_ID, HOLDFAST_DEV_SECRET_ACCESS_KEY }
    const data = join(folder, 'dev')
    const args = ['--account', '123456789012', '--regions', 'eu-central-1,us-west-2', '--data', data]
    const first = await startKms(args, env)
    const { endpoint, pid, ...line } = first.line
    assert.match(endpoint, /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.equal(pid, first.process.pid)
    assert.deepEqual([line.accountId, line.regions], ['123456789012', ['eu-central-1', 'us-west-2']])
    assert.deepEqual(
      [line.accessKeyId, line.secretAccessKey],
      [HOLDFAST_DEV_ACCESS_KEY_ID, HOLDFAST_DEV_SECRET_ACCESS_KEY],
    )
    assert.equal(first.stdout.trim().split('\n').length, 1)
    assert.match(first.stderr, /is for development/)
    const kms = sdk(endpoint, first.line, 'us-west-2')
    const { arn } = await newKey(kms)
    kms.destroy()
    const aws = (secret: string) =>
      run(
        'aws',
        ['--endpoint-url', endpoint, '--region', 'us-west-2', '--output', 'json', 'sts', 'get-caller-identity'],
        {
          env: { ...process.env, AWS_ACCESS_KEY_ID: line.accessKeyId, AWS_SECRET_ACCESS_KEY: secret },
        },
      )
    const { Account, Arn, UserId } = JSON.parse((await aws(line.secretAccessKey)).stdout)
    assert.deepEqual([Account, Arn], ['123456789012', 'arn:aws:iam::123456789012:user/developer'])
    assert.match(UserId, /^AIDA/)
    await assert.rejects(
      aws('another secret'),
      /\(SignatureDoesNotMatch\) when calling the GetCallerIdentity operation/,
    )
    await first.stop()
    const second = await startKms(args, env)
    const later = sdk(second.line.endpoint, second.line, 'us-west-2')
    assert.equal((await later.describeKey({ KeyId: arn })).KeyMetadata?.KeyState, 'Enabled')
    later.destroy()
    await second.stop()
  })
})
