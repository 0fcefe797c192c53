/**
 * Credentials of the owner's proxy, changed with the real command while both real services run: a second one works at once, a deleted one is refused
 * at once, and the file for the provider is what CreateCustomKeyStore and UpdateCustomKeyStore take.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { KMS } from '@aws-sdk/client-kms'
import { createCredential } from '../src/ekm/admin/index.ts'
import { type CliResult, holdfast } from './support/ekm.ts'
import { connected, type Pair, startPair } from './support/pair.ts'
import { newKey, refused as refusedByKms, sdk } from './support/sdk.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { encryptBody, SignerClient } from './support/xks-clients.ts'

interface ImportFile {
  readonly XksProxyUriPath: string
  readonly XksProxyAuthenticationCredential: { readonly AccessKeyId: string; readonly RawSecretAccessKey: string }
}

const TENANT = 'customers/acme'
const CLIENTS = 4
/** Uses that must have started before the act, and after it. */
const BEFORE = 30
const AFTERWARDS = 100
const Plaintext = Buffer.from('what a customer keeps')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-credentials-'))

let pair: Pair
let kms: KMS

before(async () => {
  pair = await startPair(folder, ['acme'])
  kms = sdk(pair.endpoint, pair.administrator)
  for (const args of [
    ['tenant', 'create', TENANT],
    ['key', 'create', 'vault'],
  ])
    assert.equal((await cli(...args)).code, 0)
})
after(async () => {
  kms?.destroy()
  await pair?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const cli = (...args: string[]): Promise<CliResult> => holdfast(['ekm', ...args, '--data', pair.ownerData])

/** Makes a credential into a file; returns the file as it was parsed. */
async function created(name: string): Promise<ImportFile> {
  const { code, stderr } = await cli('credential', 'create', '--tenant', TENANT, '--import-file', join(folder, name))
  assert.equal(code, 0, stderr)
  return JSON.parse(readFileSync(join(folder, name), 'utf8'))
}

/** Speaks for the provider with a credential, over mutual TLS. */
function speaker({ XksProxyAuthenticationCredential: credential }: ImportFile): SignerClient {
  return new SignerClient(
    {
      endpoint: `https://127.0.0.1:${pair.proxyPort}`,
      pathPrefix: TENANT,
      accessKeyId: credential.AccessKeyId,
      secretAccessKey: credential.RawSecretAccessKey,
      caFile: pair.caFile,
      client: pair.clientCertificate,
    },
    { servername: 'acme.owner.example' },
  )
}

const use = (client: SignerClient) => client.send({ path: 'keys/vault/encrypt', body: encryptBody(Plaintext) })

async function deleted({ XksProxyAuthenticationCredential: { AccessKeyId } }: ImportFile): Promise<void> {
  const { code, stdout, stderr } = await cli('credential', 'delete', AccessKeyId)
  assert.equal(code, 0, stderr)
  assert.match(stdout, new RegExp(`Credential ${AccessKeyId} is deleted`))
}

/** Waits for a front end that answers, which is not the process `old`. */
async function serving(client: SignerClient, old?: number): Promise<void> {
  for (;;) {
    const { frontEnd } = pair.owner.pids()
    const status = await use(client).then(
      answer => answer.status,
      () => 0,
    )
    if (frontEnd !== undefined && frontEnd !== old && status !== 0 && status < 500) return
    await delay(20)
  }
}

test('the import file is made of the members of CreateCustomKeyStore, is closed to others, and holds the secret alone', async () => {
  const file = join(folder, 'first.json')
  const told = await cli('credential', 'create', '--tenant', TENANT, '--import-file', file)
  assert.equal(told.code, 0, told.stderr)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const content: ImportFile = JSON.parse(readFileSync(file, 'utf8'))
  const { AccessKeyId, RawSecretAccessKey } = content.XksProxyAuthenticationCredential
  assert.deepEqual(content, {
    XksProxyUriPath: `/${TENANT}/kms/xks/v1`,
    XksProxyAuthenticationCredential: { AccessKeyId, RawSecretAccessKey },
  })
  // The model's patterns and bounds of XksProxyAuthenticationAccessKeyIdType and …RawSecretAccessKeyType.
  assert.match(AccessKeyId, /^[A-Z2-7]{20,30}$/)
  assert.match(RawSecretAccessKey, /^[A-Za-z0-9/+=]{43,64}$/)
  assert.match(told.stdout, new RegExp(AccessKeyId))
  const list = await cli('credential', 'list', '--json')
  assert.match(list.stdout, new RegExp(AccessKeyId))
  for (const text of [told.stdout, told.stderr, list.stdout]) assert.ok(!text.includes(RawSecretAccessKey))
})

test('a file that exists is left as it is, and nothing is made', async () => {
  const before_ = JSON.parse((await cli('credential', 'list', '--json')).stdout)
  const file = join(folder, 'first.json')
  const content = readFileSync(file)
  const told = await cli('credential', 'create', '--tenant', TENANT, '--import-file', file)
  assert.equal(told.code, 1)
  assert.match(told.stderr, /exists already; name a new one/)
  assert.deepEqual(readFileSync(file), content)
  const none = join(folder, 'none.json')
  assert.equal((await cli('credential', 'create', '--tenant', 'nobody', '--import-file', none)).code, 1)
  assert.ok(!existsSync(none))
  assert.deepEqual(JSON.parse((await cli('credential', 'list', '--json')).stdout), before_)
})

test('a provider goes from one credential to the next without a pause; with the deleted one it gets nothing', async () => {
  const first: ImportFile = JSON.parse(readFileSync(join(folder, 'first.json'), 'utf8'))
  const { CustomKeyStoreId = '' } = await kms.createCustomKeyStore({
    CustomKeyStoreName: 'acme',
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyUriEndpoint: 'https://acme.owner.example',
    XksProxyConnectivity: 'PUBLIC_ENDPOINT',
    ...first,
  })
  await connected(pair.client, CustomKeyStoreId)
  const { id: KeyId } = await newKey(kms, { Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId, XksKeyId: 'vault' })
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext })
  const opens = async () =>
    assert.deepEqual(Buffer.from((await kms.decrypt({ CiphertextBlob })).Plaintext ?? []), Plaintext)
  const second = await created('second.json')
  await opens()
  const { XksProxyAuthenticationCredential } = second
  await kms.updateCustomKeyStore({ CustomKeyStoreId, XksProxyAuthenticationCredential })
  await opens()
  await deleted(first)
  await opens()
  await refusedByKms(
    kms.updateCustomKeyStore({
      CustomKeyStoreId,
      XksProxyAuthenticationCredential: first.XksProxyAuthenticationCredential,
    }),
    'XksProxyIncorrectAuthenticationCredential',
  )
  await opens()
  await deleted(second)
  await refusedByKms(kms.decrypt({ CiphertextBlob }), 'KMSInvalidState')
})

test('promise 3: under load, no use that starts after holdfast ekm credential delete has ended succeeds, and another credential is not touched', async () => {
  const [gone, kept] = [await created('gone.json'), await created('kept.json')]
  let succeeded = 0
  let afterwards = 0
  let done = false
  const late: string[] = []
  const work = async (): Promise<void> => {
    const [client, other] = [speaker(gone), speaker(kept)]
    while (afterwards < AFTERWARDS) {
      const startedAfter = done
      if (startedAfter) afterwards++
      const [answer, others] = await Promise.all([use(client), use(other)])
      answered(others)
      if (answer.status !== 200) refused(answer, 'AuthenticationFailedException')
      else if (startedAfter) late.push(answer.text)
      else succeeded++
    }
    client.close()
    other.close()
  }
  const working = Promise.all(Array.from({ length: CLIENTS }, work))
  while (succeeded < BEFORE) await Promise.race([working, new Promise(next => setImmediate(next))])
  await deleted(gone)
  done = true
  await working
  assert.deepEqual(late, [], 'started after the answer, and succeeded')
})

test('promise 3: a credential that is deleted while the front end is stopped, or before a process is killed, is refused from then on', async () => {
  const [gone, kept] = [await created('gone-stopped.json'), speaker(await created('kept-stopped.json'))]
  const client = speaker(gone)
  answered(await use(client))
  const { frontEnd = 0 } = pair.owner.pids()
  process.kill(frontEnd, 'SIGSTOP')
  await deleted(gone)
  const sent = [use(client), use(client), use(client)]
  process.kill(frontEnd, 'SIGCONT')
  for (const answer of await Promise.all(sent)) assert.notEqual(answer.status, 200, answer.text)
  await serving(kept)
  refused(await use(client), 'AuthenticationFailedException')
  for (const name of ['frontEnd', 'boundary'] as const) {
    const { [name]: pid = 0 } = pair.owner.pids()
    process.kill(pid, 'SIGKILL')
    while (pair.owner.pids()[name] === pid) await delay(10)
    await serving(kept, name === 'frontEnd' ? pid : undefined)
    answered(await use(kept))
    refused(await use(client), 'AuthenticationFailedException')
  }
  client.close()
  kept.close()
})

test('a tenant has at most 16 credentials; room comes back with the first that is deleted', async () => {
  const list = async (): Promise<{ accessKeyId: string }[]> =>
    JSON.parse((await cli('credential', 'list', '--json')).stdout)
  const control = pair.ownerControl()
  for (let count = (await list()).length; count < 16; count++) await createCredential(control, TENANT)
  control.close()
  const full = await cli('credential', 'create')
  assert.equal(full.code, 1)
  assert.match(full.stderr, /has 16 credentials already; delete one first/)
  const [first] = await list()
  assert.equal((await cli('credential', 'delete', first?.accessKeyId ?? '')).code, 0)
  assert.equal((await cli('credential', 'create')).code, 0)
  const unknown = await cli('credential', 'delete', first?.accessKeyId ?? '')
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /There is no credential/)
})
