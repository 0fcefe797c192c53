/**
 * Revoked means revoked, over the API: while clients use a key without pause, each act that takes the use away is answered, and no request that was sent
 * after that answer succeeds.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  createCredential,
  createPrincipal,
  deleteCredential,
  deletePolicy,
  deletePrincipal,
  putPolicy,
  setCredentialActive,
} from '../src/kms/admin/index.ts'
import { ApiClient, type Credentials, type Kms, startKms } from './support/kms.ts'

const CLIENTS = 8
/** Requests that must have been sent after the answer. */
const AFTERWARDS = 200
const ROUNDS = 5
const EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}'

let kms: Kms
let owner: ApiClient

before(async () => {
  kms = await startKms()
  owner = new ApiClient(kms.line.endpoint, kms.line)
})
after(async () => {
  owner?.close()
  await kms?.stop()
})

interface Use {
  readonly operation: string
  readonly input: object
}

/**
 * Clients use it without pause; then the act is answered; then they go on until enough requests have started after that. None of those may have
 * succeeded. `by`: who uses it.
 */
async function hammer(
  uses: readonly Use[],
  act: () => Promise<unknown>,
  by: Credentials,
  refusals: RegExp,
): Promise<void> {
  let succeeded = 0
  let answered = false
  let afterwards = 0
  const late: string[] = []
  const clients = Array.from({ length: CLIENTS }, () => new ApiClient(kms.line.endpoint, by))
  const work = async (client: ApiClient, n: number): Promise<void> => {
    for (let i = n; afterwards < AFTERWARDS; i++) {
      const use = uses[i % uses.length]
      assert.ok(use)
      const startedAfter = answered
      if (startedAfter) afterwards++
      const { status, json } = await client.call(use.operation, use.input)
      if (status === 200) {
        succeeded++
        if (startedAfter) late.push(use.operation)
      } else assert.match(String(json.__type), refusals, `${status} ${JSON.stringify(json)}`)
    }
  }
  const working = Promise.all(clients.map(work))
  while (succeeded < 50) await Promise.race([working, new Promise(done => setImmediate(done))])
  await act()
  answered = true
  await working
  for (const client of clients) client.close()
  assert.deepEqual(late, [], 'started after the answer, and succeeded')
}

async function newKey(): Promise<{ KeyId: string; uses: Use[] }> {
  const { KeyMetadata } = await owner.ok('CreateKey', {})
  const KeyId = KeyMetadata.KeyId
  const { CiphertextBlob } = await owner.ok('Encrypt', { KeyId, Plaintext: 'c2VjcmV0' })
  const uses = [
    { operation: 'Decrypt', input: { CiphertextBlob } },
    { operation: 'Decrypt', input: { CiphertextBlob, KeyId } },
    { operation: 'Encrypt', input: { KeyId, Plaintext: 'AA==' } },
    { operation: 'GenerateDataKey', input: { KeyId, NumberOfBytes: 32 } },
    { operation: 'ReEncrypt', input: { CiphertextBlob, DestinationKeyId: KeyId } },
  ]
  return { KeyId, uses }
}

test('promise 3: no use that starts after DisableKey has answered succeeds', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { KeyId, uses } = await newKey()
    await hammer(uses, () => owner.ok('DisableKey', { KeyId }), kms.line, /^DisabledException$/)
  }
})

test('promise 3: no use that starts after a denying policy was put succeeds', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { KeyId, uses } = await newKey()
    const policy = JSON.parse((await owner.ok('GetKeyPolicy', { KeyId })).Policy)
    const Action = ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey*', 'kms:ReEncrypt*']
    policy.Statement.push({ Effect: 'Deny', Principal: '*', Action, Resource: '*' })
    const act = () => owner.ok('PutKeyPolicy', { KeyId, Policy: JSON.stringify(policy) })
    await hammer(uses, act, kms.line, /^AccessDeniedException$/)
  }
})

test('promise 3: no use that starts after ScheduleKeyDeletion has answered succeeds', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { KeyId, uses } = await newKey()
    await hammer(uses, () => owner.ok('ScheduleKeyDeletion', { KeyId }), kms.line, /^KMSInvalidStateException$/)
  }
})

test('promise 3: no use by an alias that starts after it was deleted succeeds', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { KeyId } = await newKey()
    const AliasName = `alias/round-${round}`
    await owner.ok('CreateAlias', { AliasName, TargetKeyId: KeyId })
    const uses = [{ operation: 'Encrypt', input: { KeyId: AliasName, Plaintext: 'AA==' } }]
    await hammer(uses, () => owner.ok('DeleteAlias', { AliasName }), kms.line, /^NotFoundException$/)
  }
})

test('promise 3: no use by a grantee that starts after its grant was revoked or retired succeeds', async () => {
  const control = kms.control()
  const arn = `arn:aws:iam::${kms.line.accountId}:user/grantee`
  await createPrincipal(control, arn)
  const made = await createCredential(control, arn)
  const secretAccessKey = made.secretAccessKey.reveal(bytes => bytes.toString('latin1'))
  const by = { accessKeyId: made.accessKeyId, secretAccessKey }
  const grantee = new ApiClient(kms.line.endpoint, by)
  const Operations = ['Decrypt', 'Encrypt', 'GenerateDataKey', 'ReEncryptFrom', 'ReEncryptTo', 'RetireGrant']
  for (let round = 0; round < ROUNDS; round++) {
    const { KeyId, uses } = await newKey()
    const { GrantId, GrantToken } = await owner.ok('CreateGrant', { KeyId, GranteePrincipal: arn, Operations })
    const tokens = uses.map(({ operation, input }) => ({ operation, input: { ...input, GrantTokens: [GrantToken] } }))
    const acts = [
      () => owner.ok('RevokeGrant', { KeyId, GrantId }),
      () => grantee.ok('RetireGrant', { KeyId, GrantId }),
      () => grantee.ok('RetireGrant', { GrantToken }),
    ]
    const act = acts[round % acts.length]
    assert.ok(act)
    await hammer([...uses, ...tokens], act, by, /^(?:AccessDenied|InvalidGrantToken)Exception$/)
  }
  grantee.close()
  control.close()
})

test('promise 3: no request that starts after its credential or its rights were taken away succeeds', async () => {
  const control = kms.control()
  const { uses } = await newKey()
  const acts: readonly (readonly [(arn: string, id: string) => Promise<unknown>, RegExp])[] = [
    [(_, id) => setCredentialActive(control, id, false), /^UnrecognizedClientException$/],
    [(_, id) => deleteCredential(control, id), /^UnrecognizedClientException$/],
    [arn => deletePrincipal(control, arn), /^UnrecognizedClientException$/],
    [arn => deletePolicy(control, arn, 'all'), /^AccessDeniedException$/],
  ]
  for (const [n, [act, refusals]] of acts.entries()) {
    const arn = `arn:aws:iam::${kms.line.accountId}:user/leaver-${n}`
    await createPrincipal(control, arn)
    await putPolicy(control, arn, 'all', EVERYTHING)
    const made = await createCredential(control, arn)
    const secretAccessKey = made.secretAccessKey.reveal(bytes => bytes.toString('latin1'))
    const by = { accessKeyId: made.accessKeyId, secretAccessKey }
    await hammer(uses, () => act(arn, made.accessKeyId), by, refusals)
  }
  control.close()
})
