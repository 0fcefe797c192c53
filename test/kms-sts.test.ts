/**
 * Temporary credentials against the real service: roles made with `holdfast kms`, sessions begun with the AWS CLI and the SDK's signer, keys used with the
 * SDK; and tokens that are expired, forged, swapped, stolen or another boundary's.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { KMS } from '@aws-sdk/client-kms'
import { readRecords } from './support/journal.ts'
import { ApiClient, type Credentials, freePort, type Kms, REGION, ROOT, startKms } from './support/kms.ts'

const run = promisify(execFile)
const ACCOUNT = '000000000000'
const ROLE = `arn:aws:iam::${ACCOUNT}:role/app`
const SESSION = `arn:aws:sts::${ACCOUNT}:assumed-role/app/deploy`

type Session = Credentials & { readonly sessionToken: string }

let service: Kms
let folder: string
let alice: Credentials

/** One line of `holdfast kms …`, as JSON. */
async function holdfast(...args: string[]) {
  const { stdout } = await run(join(ROOT, 'bin/holdfast'), ['kms', ...args, '--data', service.line.data, '--json'])
  return JSON.parse(stdout)
}

function file(name: string, document: object): string {
  const path = join(folder, `${name}.json`)
  writeFileSync(path, JSON.stringify({ Version: '2012-10-17', ...document }))
  return path
}

/** The AWS CLI. */
async function aws(credentials: Credentials & { sessionToken?: string }, ...args: string[]) {
  const command = existsSync('/usr/bin/aws') ? '/usr/bin/aws' : 'aws'
  const { stdout } = await run(command, ['--endpoint-url', service.line.endpoint, '--output', 'json', ...args], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      ...(credentials.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: credentials.sessionToken }),
      AWS_DEFAULT_REGION: REGION,
      AWS_MAX_ATTEMPTS: '1',
    },
  })
  return JSON.parse(stdout)
}

async function assume(by: Credentials & { sessionToken?: string }, ...more: string[]): Promise<Session> {
  const args = ['--role-arn', ROLE, '--role-session-name', 'deploy', ...more]
  const { Credentials: made } = await aws(by, 'sts', 'assume-role', ...args)
  return { accessKeyId: made.AccessKeyId, secretAccessKey: made.SecretAccessKey, sessionToken: made.SessionToken }
}

const clients: { destroy(): void }[] = []
function kmsFor(credentials: Credentials): KMS {
  const client = new KMS({ endpoint: service.line.endpoint, region: REGION, credentials, maxAttempts: 1 })
  clients.push(client)
  return client
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-sts-'))
  service = await startKms(['--regions', REGION, '--port', String(await freePort())])
  await holdfast('principal', 'create', 'alice')
  alice = await holdfast('credential', 'create', '--principal', 'alice')
  const Statement = [
    {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/alice` },
      Action: ['sts:AssumeRole', 'sts:TagSession'],
    },
  ]
  await holdfast('role', 'create', 'app', '--trust-policy', file('trust', { Statement }), '--tag', 'team=role')
  const use = file('use', { Statement: { Effect: 'Allow', Action: 'kms:*', Resource: '*' } })
  await holdfast('policy', 'put', '--principal', 'role/app', '--name', 'use', '--file', use)
})

after(async () => {
  for (const client of clients) client.destroy()
  await service?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const named =
  (name: string, text = /.*/s) =>
  (error: unknown) => {
    const { name: actual, message } = error as Error
    assert.equal(actual, name, message)
    assert.match(message, text)
    return true
  }

test('the AWS CLI assumes a role, and the SDK uses keys with it', async () => {
  const session = await assume(alice)
  assert.equal((await aws(session, 'sts', 'get-caller-identity')).Arn, SESSION)
  const kms = kmsFor(session)
  const KeyId = (await kms.createKey({})).KeyMetadata?.Arn ?? ''
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('hello') })
  assert.equal(Buffer.from((await kms.decrypt({ CiphertextBlob })).Plaintext ?? []).toString(), 'hello')
  await assert.rejects(kmsFor(alice).encrypt({ KeyId, Plaintext: Buffer.from('x') }), named('AccessDeniedException'))
  const token = await aws(alice, 'sts', 'get-session-token', '--duration-seconds', '900')
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken } = token.Credentials
  const identity = await aws({ accessKeyId, secretAccessKey, sessionToken }, 'sts', 'get-caller-identity')
  assert.equal(identity.Arn, `arn:aws:iam::${ACCOUNT}:user/alice`)
})

test('promise 2: the records say who became whom and what the session did, and no secret', async () => {
  const session = await assume(alice)
  await kmsFor(session).listKeys({})
  await assert.rejects(
    aws(alice, 'sts', 'assume-role', '--role-arn', `${ROLE}2`, '--role-session-name', 'deploy'),
    /not authorized to perform: sts:AssumeRole/,
  )
  const records = readRecords(service.line.data)
  const asserted = records.map(({ record }) => ({
    ...record.asserted,
    did: record.boundaryOperation,
    outcome: record.outcome,
  }))
  const begun = asserted.filter(one => one.operation === 'AssumeRole' && one.outcome === 'allowed').at(-1)
  assert.deepEqual(
    [begun?.did, begun?.subject, begun?.principal, begun?.accessKeyId],
    ['sealSession', `deploy ${ROLE}`, `arn:aws:iam::${ACCOUNT}:user/alice`, alice.accessKeyId],
  )
  const denied = asserted.filter(one => one.operation === 'AssumeRole' && one.outcome === 'denied').at(-1)
  assert.equal(denied?.subject, `deploy ${ROLE}2`)
  const listed = asserted.filter(one => one.operation === 'ListKeys' && one.accessKeyId === session.accessKeyId)
  assert.deepEqual(
    listed.map(one => one.principal),
    [SESSION],
  )
  for (const { bytes } of records) {
    assert.ok(!bytes.includes(session.secretAccessKey) && !bytes.includes(session.sessionToken.slice(0, 60)))
  }
  assert.ok(!service.stderr.includes(session.secretAccessKey))
})

test('promise 3: a session whose role lost its policy, or itself, may nothing from then on', async () => {
  const trust = file('trust2', {
    Statement: { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/alice` }, Action: 'sts:AssumeRole' },
  })
  const role = `arn:aws:iam::${ACCOUNT}:role/brief`
  await holdfast('role', 'create', 'brief', '--trust-policy', trust)
  await holdfast('policy', 'put', '--principal', role, '--name', 'use', '--file', join(folder, 'use.json'))
  const made = await aws(alice, 'sts', 'assume-role', '--role-arn', role, '--role-session-name', 'one')
  const kms = kmsFor({
    accessKeyId: made.Credentials.AccessKeyId,
    secretAccessKey: made.Credentials.SecretAccessKey,
    sessionToken: made.Credentials.SessionToken,
  } as Session)
  await kms.listKeys({})
  const revoke = file('revoke', {
    Statement: {
      ...{ Effect: 'Deny', Action: '*', Resource: '*' },
      Condition: { DateLessThan: { 'aws:TokenIssueTime': new Date(Date.now() + 1000).toISOString() } },
    },
  })
  await holdfast('policy', 'put', '--principal', role, '--name', 'revoke', '--file', revoke)
  await assert.rejects(kms.listKeys({}), named('AccessDeniedException', /explicit deny in an identity-based policy/))
  await holdfast('policy', 'delete', '--principal', role, '--name', 'revoke')
  await kms.listKeys({})
  await holdfast('policy', 'delete', '--principal', role, '--name', 'use')
  await assert.rejects(kms.listKeys({}), named('AccessDeniedException', /no identity-based policy allows/))
  await holdfast('principal', 'delete', role)
  await assert.rejects(
    kms.listKeys({}),
    named('UnrecognizedClientException', /security token included in the request is invalid/),
  )
})

test('a key policy that names the role is for its sessions, one that names a session for that one', async () => {
  const owner = kmsFor(service.line)
  const session = kmsFor(
    await assume(
      alice,
      '--policy',
      JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Allow', Action: 'kms:Encrypt', Resource: '*' } }),
    ),
  )
  const administrate = {
    Effect: 'Allow',
    Principal: { AWS: ACCOUNT },
    Action: 'kms:*',
    Resource: '*',
    Condition: { StringNotEquals: { 'aws:PrincipalType': 'AssumedRole' } },
  }
  const KeyId = (await owner.createKey({})).KeyMetadata?.Arn ?? ''
  const naming = (AWS: string) =>
    owner.putKeyPolicy({
      KeyId,
      Policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          administrate,
          { Effect: 'Allow', Principal: { AWS }, Action: ['kms:Encrypt', 'kms:Decrypt'], Resource: '*' },
        ],
      }),
    })
  await naming(ROLE)
  const { CiphertextBlob } = await session.encrypt({ KeyId, Plaintext: Buffer.from('x') })
  await assert.rejects(
    session.decrypt({ KeyId, CiphertextBlob }),
    named('AccessDeniedException', /no session policy allows/),
  )
  await naming(SESSION)
  await session.decrypt({ KeyId, CiphertextBlob })
  await naming(SESSION.replace('deploy', 'other'))
  await assert.rejects(
    session.decrypt({ KeyId, CiphertextBlob }),
    named('AccessDeniedException', /no resource-based policy allows/),
  )
  await assert.rejects(naming(SESSION.replace('app', 'none')), named('MalformedPolicyDocumentException'))
})

test('forged, swapped, stolen, of another key: no token but the right one with its own secret', async () => {
  const session = await assume(alice)
  const other = await assume(alice)
  const bytes = Buffer.from(session.sessionToken, 'base64')
  bytes[60] = (bytes[60] ?? 0) ^ 1
  const { sessionToken: _, ...stolen } = session
  const invalid = named('UnrecognizedClientException', /^The security token included in the request is invalid\.$/)
  for (const credentials of [
    { ...session, sessionToken: bytes.toString('base64') },
    { ...session, sessionToken: 'none' },
    { ...session, sessionToken: other.sessionToken },
    { ...alice, sessionToken: session.sessionToken },
    stolen,
  ]) {
    await assert.rejects(kmsFor(credentials).listKeys({}), invalid)
  }
  await assert.rejects(
    kmsFor({ ...session, secretAccessKey: other.secretAccessKey } as Session).listKeys({}),
    named('InvalidSignatureException'),
  )
  await kmsFor(session).listKeys({})
  // A token that is sent and not signed could have been put there by anyone.
  const bare = new ApiClient(service.line.endpoint, {
    accessKeyId: session.accessKeyId,
    secretAccessKey: session.secretAccessKey,
  })
  const unsigned = await bare.call('ListKeys', {})
  assert.equal(unsigned.json.__type, 'UnrecognizedClientException')
  bare.close()
})

test('a token of another boundary is none', async () => {
  const stranger = await startKms(['--regions', REGION])
  try {
    const kms = new KMS({
      endpoint: stranger.line.endpoint,
      region: REGION,
      credentials: await assume(alice),
      maxAttempts: 1,
    })
    clients.push(kms)
    await assert.rejects(kms.listKeys({}), named('UnrecognizedClientException'))
  } finally {
    await stranger.stop()
  }
})

test('sessions outlive the processes that began them: nothing of them is kept', async () => {
  const session = await assume(alice)
  const kms = kmsFor(session)
  await kms.listKeys({})
  const { frontEnd } = service.children()
  process.kill(frontEnd, 'SIGKILL')
  for (;;) {
    try {
      await kms.listKeys({})
      break
    } catch (error) {
      // Only that nobody answers yet: the session itself is never refused.
      const { name } = error as Error
      assert.ok(!['UnrecognizedClientException', 'ExpiredTokenException', 'AccessDeniedException'].includes(name), name)
    }
  }
})

test('groups and boundaries by the CLI are in force for those whom they concern', async () => {
  const kms = kmsFor(alice)
  await assert.rejects(kms.listKeys({}), named('AccessDeniedException'))
  await holdfast('group', 'create', 'staff')
  await holdfast('policy', 'put', '--principal', 'group/staff', '--name', 'use', '--file', join(folder, 'use.json'))
  await holdfast('group', 'add-user', 'staff', 'alice')
  await kms.listKeys({})
  const boundary = file('boundary', { Statement: { Effect: 'Allow', Action: 'kms:ListAliases', Resource: '*' } })
  await holdfast('principal', 'set-boundary', 'alice', '--file', boundary)
  await assert.rejects(
    kms.listKeys({}),
    named('AccessDeniedException', /no permissions boundary allows the kms:ListKeys action/),
  )
  await kms.listAliases({})
  await holdfast('principal', 'set-boundary', 'alice', '--remove')
  await holdfast('group', 'remove-user', 'staff', 'alice')
  await assert.rejects(kms.listKeys({}), named('AccessDeniedException', /no identity-based policy allows/))
})
