/**
 * The owner's boundary over a PKCS#11 token: root of trust and external keys in SoftHSM, used, rotated, revoked, lost and found again.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startService } from '../src/boundary/supervisor/supervisor.ts'
import { configOf, fails, type Running, run, temporaryFolder } from './boundary/harness.ts'
import { SoftHsm } from './support/softhsm.ts'

const LABEL = 'owner'
const PIN = 'canary-pin-4711'
const hsm = new SoftHsm().use()
const folder = temporaryFolder()
const pinFile = path.join(folder, 'pin')
const config = {
  service: 'ekm',
  root: {
    kind: 'pkcs11',
    module: hsm.module,
    token: { label: LABEL },
    pin: { file: pinFile },
    rootLabel: 'holdfast root',
  },
} as const
const plaintext = Buffer.from('the provider’s blob')
const aad = Buffer.from('aad')

before(() => {
  fs.writeFileSync(pinFile, `${PIN}\n`, { mode: 0o600 })
  hsm.addToken(LABEL, PIN)
})
after(() => {
  fs.rmSync(folder, { recursive: true, force: true })
  hsm.remove()
})

const create = (running: Running, name: string, tokenObject = '', more: object = {}) =>
  running.control.createExternalKey(
    {
      id: `acme/${name}`,
      scope: 'acme',
      tenant: 'acme',
      spec: 'EXTERNAL_AES_256',
      backing: 'TOKEN',
      tokenObject,
      mayEncrypt: true,
      mayDecrypt: true,
      ...more,
    },
    {},
  )

describe('a boundary whose root and keys are in a token', () => {
  test('keys are made in it, found in it, used, rotated, revoked, and there after a restart', async t => {
    const running = await run(t, folder, { config })
    const { use, control } = running
    assert.equal((await use.status()).rootKind, 'pkcs11')
    assert.deepEqual(await use.selfTest(), { ok: true, detail: '' })
    const key = await create(running, 'made')
    const made = await use.externalEncrypt(key, plaintext, aad, true, {})
    assert.equal(made.metadata.toString('hex'), '0100000001')
    assert.equal(made.integrityValue?.length, 32)
    assert.deepEqual(await use.externalDecrypt(key, made, aad, {}), plaintext)
    await assert.rejects(use.externalDecrypt(key, made, Buffer.from('other'), {}), fails('InvalidCiphertext'))
    const rotated = await control.rotateExternalKey(key.id, {})
    const newer = await use.externalEncrypt(rotated, plaintext, aad, false, {})
    assert.equal(newer.metadata.toString('hex'), '0100000002')
    assert.deepEqual(await use.externalDecrypt(rotated, made, aad, {}), plaintext)
    assert.deepEqual(await use.externalDecrypt(rotated, newer, aad, {}), plaintext)
    await assert.rejects(create(running, 'none', 'label:no such object'), fails('InvalidRequest'))
    const found = await create(running, 'found', 'label:acme/made v1')
    assert.deepEqual(await use.externalDecrypt(found, made, aad, {}), plaintext)
    const root = create(running, 'root', 'label:holdfast root')
    await assert.rejects(root, fails('NotPermitted'), 'the root of trust is never an external key')
    await control.revoke({ tenant: 'acme' }, {})
    await assert.rejects(use.externalDecrypt(rotated, made, aad, {}), fails('KeyRevoked'))
    await running.stop()

    const again = await run(t, folder, { config })
    await assert.rejects(again.use.externalDecrypt(rotated, made, aad, {}), fails('KeyRevoked'))
    await again.control.restore({ tenant: 'acme' }, {})
    assert.deepEqual(await again.use.externalDecrypt(rotated, made, aad, {}), plaintext)
    await again.stop()
  })

  test('the token goes and comes back: revoking works without it, and uses when it is there again', async t => {
    const running = await run(t, folder, { config })
    const { use, control } = running
    const key = await create(running, 'lost')
    const made = await use.externalEncrypt(key, plaintext, aad, false, {})
    const away = `${hsm.tokens}.away`
    fs.renameSync(hsm.tokens, away)
    fs.mkdirSync(hsm.tokens)
    const trying = async (): Promise<boolean> =>
      use.externalDecrypt(key, made, aad, {}).then(
        () => true,
        error => !fails('TokenUnavailable')(error),
      )
    await control.revoke({ all: true }, {})
    await control.restore({ all: true }, {})
    fs.rmSync(hsm.tokens, { recursive: true })
    fs.renameSync(away, hsm.tokens)
    while (!(await trying())) await new Promise(resolve => setTimeout(resolve, 20))
    await running.stop()
  })

  test('promise 1: the PIN is nowhere but in its file, and a wrong one is tried once', async () => {
    for (const name of fs.readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const file = path.join(folder, name)
      if (file !== pinFile && fs.statSync(file).isFile()) assert.ok(!fs.readFileSync(file).includes(PIN), file)
    }
    fs.writeFileSync(pinFile, 'wrong')
    const service = startService({
      boundary: configOf(folder, config),
      frontEnd: { entry: path.join(import.meta.dirname, 'boundary', 'front-end.ts'), config: { socket: '/nowhere' } },
      log: () => {},
    })
    await assert.rejects(service.ready, /PIN/)
    assert.equal(await service.ended, 64)
  })
})
