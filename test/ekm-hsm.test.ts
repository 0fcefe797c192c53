/**
 * The real `holdfast ekm` over SoftHSM: what the probe says, keys in two tokens from the command line, requests over XKS, and both through the loss of the tokens
 * under load.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ProbedToken } from '../src/ekm/admin/index.ts'
import { fails, run, temporaryFolder } from './boundary/harness.ts'
import { type Ekm, holdfast, PATIENT, startEkm } from './support/ekm.ts'
import { freePort } from './support/kms.ts'
import { SoftHsm } from './support/softhsm.ts'
import { type Ask, survived, throughLoss } from './support/taken-token.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { decryptBody, encryptBody, metadata, SignerClient } from './support/xks-clients.ts'

const PIN = 'owner-pin'
const BACKUP_PIN = 'backup-pin'
/** The token has 200 ms, or 500, for a call; the rest is for processes on a machine that does other things. */
const DEADLINE_MS = 1500
const folder = mkdtempSync(join(tmpdir(), 'holdfast-ekm-hsm-'))
const hsm = new SoftHsm().use()
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text, { mode: 0o600 })
  return join(folder, name)
}
const [pin, backupPin] = [write('pin', PIN), write('backup-pin', BACKUP_PIN)]
const root = (pinFile: string) => ({ kind: 'pkcs11', module: hsm.module, tokenLabel: 'owner', pinFile })
const configuration = (more: object = {}): object => ({
  data: join(folder, 'data'),
  load: PATIENT,
  boundary: {
    root: root(pin),
    tokens: { backup: { module: hsm.module, tokenLabel: 'backup', pinFile: backupPin } },
  },
  ...more,
})
const config = write('ekm.json', JSON.stringify(configuration()))
const probe = (...args: string[]) => holdfast(['ekm', 'hsm', 'probe', ...args])
const objects = () => hsm.pkcs11Tool('owner', PIN, '--list-objects')

before(() => {
  hsm.addToken('owner', PIN).addToken('backup', BACKUP_PIN)
})
after(() => {
  hsm.remove()
  rmSync(folder, { recursive: true, force: true })
})

describe('holdfast ekm hsm probe', () => {
  test('tries every token of a configuration for real, and leaves nothing in it', async () => {
    const untouched = objects()
    const { code, stdout, stderr } = await probe('--config', config, '--json')
    assert.deepEqual([code, stderr], [0, ''])
    const tokens = JSON.parse(stdout) as ProbedToken[]
    assert.deepEqual(
      tokens.map(({ name, label, manufacturer }) => [name, label, manufacturer]),
      [
        ['', 'owner', 'SoftHSM project'],
        ['backup', 'backup', 'SoftHSM project'],
      ],
    )
    for (const { trials, serves, mechanisms } of tokens) {
      assert.deepEqual(
        trials.filter(({ ok }) => !ok),
        [],
      )
      const how = new Map(trials.map(({ name, detail }) => [name, detail]))
      assert.match(how.get('aes-gcm') ?? '', /^IV made by the boundary; a wrong tag is CKR_GENERAL_ERROR/)
      assert.match(how.get('aes-kwp') ?? '', /^by AES blocks in the token/)
      assert.equal(how.get('rsa-oaep-sha1'), 'by its own mechanism')
      assert.match(how.get('rsa-oaep-sha256') ?? '', /^by raw RSA in the token/)
      assert.deepEqual(
        serves.map(
          ({ protocol, algorithms, missing }) =>
            `${protocol}: ${[...algorithms, ...missing.map(name => `-${name}`)].join(' ')}`,
        ),
        [
          'xks: AES_GCM',
          'azure: A256KW A256KWP RSA-OAEP RSA-OAEP-256',
          'kubernetes: AES_GCM',
          'dke: RSA-OAEP-256',
          'kacls: AES_GCM',
          'google: AES_GCM',
        ],
      )
      const gcm = mechanisms.find(({ name }) => name === 'CKM_AES_GCM')
      assert.deepEqual([gcm?.minKey, gcm?.maxKey, gcm?.flags], [16, 32, ['encrypt', 'decrypt']])
    }
    assert.equal(objects(), untouched)
  })

  test('as text, and for one token', async () => {
    const { code, stdout } = await probe('--config', config, '--token', 'backup', '--protocol', 'azure')
    assert.equal(code, 0)
    assert.match(stdout, /^Token backup: "backup" in slot \d+\n/)
    assert.match(stdout, /\nazure +yes +A256KW A256KWP RSA-OAEP RSA-OAEP-256\n/)
    assert.doesNotMatch(stdout, /Token of the root/)
  })

  test('a token that does not do what a capability says is told so, and the exit code says which protocol it is not enough for', async () => {
    const wrong = configuration({ boundary: { root: { ...root(pin), tokenMakesIv: true } } })
    const file = write('makes-iv.json', JSON.stringify(wrong))
    const { code, stdout } = await probe('--config', file, '--json', '--protocol', 'xks')
    assert.equal(code, 3)
    const [token] = JSON.parse(stdout) as ProbedToken[]
    const gcm = token?.trials.find(({ name }) => name === 'aes-gcm')
    assert.deepEqual([gcm?.ok, gcm?.detail], [false, 'the token leaves the IV as it was given: tokenMakesIv is wrong'])
    assert.deepEqual(
      token?.serves.find(({ protocol }) => protocol === 'xks'),
      {
        protocol: 'xks',
        algorithms: [],
        missing: ['AES_GCM'],
      },
    )
    assert.equal((await probe('--config', file, '--protocol', 'azure')).code, 0)
  })

  test('what the operator must change is said, with an exit code of its own', async () => {
    const cases: [name: string, config: object, code: number, said: RegExp, args?: string[]][] = [
      [
        'pin',
        configuration({ boundary: { root: root(write('wrong', '99999999')) } }),
        64,
        /refused the PIN.*not tried again/,
      ],
      [
        'label',
        configuration({ boundary: { root: { ...root(pin), tokenLabel: 'none' } } }),
        64,
        /no token with the label "none"/,
      ],
      ['module', configuration({ boundary: { root: { ...root(pin), module: config } } }), 64, /not a PKCS#11 module/],
      [
        'keyfile',
        configuration({ boundary: { root: { kind: 'keyfile', file: join(folder, 'key') } } }),
        1,
        /names no token/,
      ],
      ['unknown', configuration(), 1, /none of its tokens is called other/, ['--token', 'other']],
      ['wrong', configuration({ boundary: { root: { kind: 'pkcs11' } } }), 78, /boundary\.root\.module/],
    ]
    for (const [name, content, code, said, args = []] of cases) {
      const answer = await probe('--config', write(`${name}.json`, JSON.stringify(content)), ...args)
      assert.deepEqual([answer.code, answer.stdout], [code, ''], `${name}: ${answer.stderr}`)
      assert.match(answer.stderr, said)
      assert.doesNotMatch(answer.stderr, /99999999/)
    }
  })
})

describe('holdfast ekm over tokens', () => {
  let ekm: Ekm<{ data: string; endpoint: string }>
  let client: SignerClient

  before(async () => {
    const running = write('running.json', JSON.stringify(configuration({ listen: { port: await freePort() } })))
    ekm = await startEkm(['--config', running])
    await ekm.cli('tenant', 'create', 'acme')
    const file = join(folder, 'import.json')
    await ekm.cli('credential', 'create', '--import-file', file)
    const { XksProxyAuthenticationCredential: made } = JSON.parse(readFileSync(file, 'utf8'))
    client = new SignerClient({
      endpoint: ekm.line.endpoint,
      pathPrefix: 'acme',
      accessKeyId: made.AccessKeyId,
      secretAccessKey: made.RawSecretAccessKey,
      caFile: null,
    })
  })
  after(async () => {
    client?.close()
    await ekm?.stop()
  })

  const encrypt = (key: string, plaintext: Buffer, more: object = {}) =>
    client.send({ path: `keys/${key}/encrypt`, body: encryptBody(plaintext, more) })

  test('while it runs, the probe says to stop it', async () => {
    const { code, stderr } = await probe('--config', config)
    assert.equal(code, 75)
    assert.match(stderr, /a service is running on .*: stop it and ask again/)
  })

  test('keys in both tokens are made from the command line, described, and answer over XKS', async () => {
    for (const [name, args, place] of [
      ['first', ['--token'], /^id:[0-9a-f]{32}$/],
      ['second', ['--token', 'backup'], /^token=backup id:[0-9a-f]{32}$/],
    ] as const) {
      const made = await ekm.cli<{ backing: string; tokenObject: string }>('key', 'create', name, ...args)
      assert.equal(made.backing, 'token')
      assert.match(made.tokenObject, place)
      const plaintext = randomBytes(32)
      const encrypted = answered(await encrypt(name, plaintext, { ciphertextDataIntegrityValueAlgorithm: 'SHA_256' }))
      const opened = answered(await client.send({ path: `keys/${name}/decrypt`, body: decryptBody(encrypted) }))
      assert.equal(opened.json.plaintext, plaintext.toString('base64'))
    }
    const rsa = await ekm.cli<{ spec: string }>('key', 'create', 'pair', '--spec', 'RSA_2048', '--token', 'backup')
    assert.equal(rsa.spec, 'RSA_2048')
    await assert.rejects(ekm.cli('key', 'create', 'x', '--token', 'nowhere'), /no token nowhere/)
    await assert.rejects(ekm.cli('key', 'create', 'x', '--token', 'backup:label:none'), /no secret key label:none/)
    await assert.rejects(ekm.cli('key', 'create', 'x', '--token', 'backup:x'), /id:HEX/)
    await assert.rejects(ekm.cli('key', 'create', 'x', '--token', '--opens', 'aws-xks-proxy'), /Name the object/)
    await assert.rejects(ekm.cli('key', 'create', 'x', '--token', 'label:a', '--opens', 'other'), /aws-xks-proxy/)
  })

  test('ciphertexts of the sample XKS proxy of AWS open over XKS, under the key that says so', async () => {
    const { vectors } = {
      vectors: JSON.parse(readFileSync(join(import.meta.dirname, 'vectors', 'external.json'), 'utf8')),
    }
    const known = Buffer.from(vectors.xksProxy[0].key, 'hex')
    await ekm.stop()
    // The module's objects are read when it is initialised: while a service runs, another process cannot add one to be found.
    const file = join(folder, 'known.bin')
    writeFileSync(file, known)
    hsm.pkcs11Tool(
      'owner',
      PIN,
      '--write-object',
      file,
      '--type',
      'secrkey',
      '--key-type',
      'aes:32',
      '--label',
      'foo',
      '--id',
      'f0',
      '--sensitive',
      '--usage-decrypt',
    )
    ekm = await startEkm(['--config', join(folder, 'running.json')])
    const made = await ekm.cli<{ tokenObject: string }>(
      'key',
      'create',
      'foo',
      '--token',
      'label:foo',
      '--opens',
      'aws-xks-proxy',
    )
    assert.equal(made.tokenObject, 'opens=aws-xks-proxy id:f0')
    const b64 = (text = ''): string => Buffer.from(text, 'hex').toString('base64')
    for (const vector of vectors.xksProxy) {
      const body = {
        requestMetadata: metadata('Decrypt'),
        encryptionAlgorithm: 'AES_GCM',
        ciphertext: b64(vector.ciphertext),
        initializationVector: b64(vector.iv),
        authenticationTag: b64(vector.tag),
        ...(vector.metadata === '' ? {} : { ciphertextMetadata: b64(vector.metadata) }),
        ...(vector.aad === undefined ? {} : { additionalAuthenticatedData: b64(vector.aad) }),
      }
      const opened = answered(await client.send({ path: 'keys/foo/decrypt', body }))
      assert.equal(opened.json.plaintext, b64(vector.plaintext))
      const other = { ...body, additionalAuthenticatedData: Buffer.from('other').toString('base64') }
      refused(await client.send({ path: 'keys/foo/decrypt', body: other }), 'InvalidCiphertextException')
    }
  })

  /** What is asked of each key in turn: an encryption, and the decryption of what it has encrypted before. */
  const asksOf = async (keys: readonly string[]): Promise<Ask[]> => {
    const plaintext = randomBytes(32)
    const asks: Ask[] = []
    const named = (status: number, json: Readonly<Record<string, string>>): string =>
      status === 200 ? 'done' : `${status} ${json.errorName}`
    for (const key of keys) {
      const encrypted = answered(await encrypt(key, plaintext))
      asks.push(async () => {
        const { status, json } = await encrypt(key, plaintext)
        return named(status, json)
      })
      asks.push(async () => {
        const { status, json } = await client.send({ path: `keys/${key}/decrypt`, body: decryptBody(encrypted) })
        if (status === 200) assert.equal(json.plaintext, plaintext.toString('base64'))
        return named(status, json)
      })
    }
    return asks
  }
  const REFUSALS = ['503 DependencyTimeoutException', '429 ThrottlingException']

  test('both tokens are lost under load and found again: every request is answered in time, none with anything else', async () => {
    const asks = await asksOf(['first', 'second'])
    const outcome = await throughLoss(hsm.removable(), 24, asks)
    await survived(outcome, REFUSALS, asks)
    assert.ok(outcome.slowest < DEADLINE_MS, `${outcome.slowest} ms`)
    const { healthStatus } = JSON.parse(
      answered(await client.send({ path: 'health', body: { requestMetadata: metadata('KmsHealthCheck') } })).text,
    ).ekmFleetDetails[0]
    assert.equal(healthStatus, 'ACTIVE')
  })

  test('one of two tokens of a module is lost under load and found again; no request for a key in the other one fails', async () => {
    const [asks, others] = [await asksOf(['second']), await asksOf(['first'])]
    const outcome = await throughLoss(hsm.removable('backup'), 12, asks, others)
    await survived(outcome, REFUSALS, asks)
    assert.ok((outcome.beside.get('done') ?? 0) > 100)
    assert.ok(outcome.slowest < DEADLINE_MS, `${outcome.slowest} ms`)
    const lines = ekm.stderr.split('\n').filter(line => line.includes('"the token'))
    assert.match(lines.at(-2) ?? '', /the token backup is lost/)
    assert.match(lines.at(-1) ?? '', /the token backup is open/)
  })
})

for (const calls of ['sync', 'async'] as const) {
  test(`wrapping through the loss of its token, calls ${calls}: every request is answered in time, and then all works`, async t => {
    const place = temporaryFolder()
    const token = { module: hsm.module, token: { label: 'owner' }, pin: { file: pin }, calls, deadlineMs: 500 } as const
    const running = await run(t, place, {
      config: { service: 'ekm', root: { kind: 'pkcs11', ...token, rootLabel: `root ${calls}` } },
    })
    const asks: Ask[] = []
    for (const [spec, algorithm] of [
      ['EXTERNAL_AES_256', 'A256KW'],
      ['EXTERNAL_AES_256', 'A256KWP'],
      ['RSA_2048', 'RSA-OAEP'],
      ['RSA_2048', 'RSA-OAEP-256'],
    ] as const) {
      const input = { id: `acme/${calls}-${algorithm}`, scope: 'acme', tenant: 'acme', spec, backing: 'TOKEN' } as const
      const usage = { tokenObject: '', mayEncrypt: true, mayDecrypt: true }
      const key = await running.control.createExternalKey({ ...input, ...usage }, {})
      const plaintext = randomBytes(32)
      const { wrapped } = await running.use.externalWrap(key, algorithm, Buffer.from(plaintext), {})
      const named = (error: unknown): string => {
        fails('TokenUnavailable', 'Busy')(error)
        return 'refused'
      }
      // Under a pair this needs no token.
      if (spec === 'EXTERNAL_AES_256')
        asks.push(() => running.use.externalWrap(key, algorithm, Buffer.from(plaintext), {}).then(() => 'done', named))
      asks.push(() =>
        running.use.externalUnwrap(key, algorithm, wrapped, 0, {}).then(opened => {
          assert.deepEqual(opened, plaintext)
          return 'done'
        }, named),
      )
    }
    const outcome = await throughLoss(hsm.removable(), 6, asks)
    await survived(outcome, ['refused'], asks)
    assert.ok(outcome.slowest < DEADLINE_MS, `${outcome.slowest} ms`)
    await running.stop()
    rmSync(place, { recursive: true })
  })
}
