/** Administration over a real control socket: what is made is durable rows, secrets are sealed, and two administrators do not undo each other. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { type ControlConnection, connectControl } from '../../boundary/client/control.ts'
import { connectUse, type UseConnection } from '../../boundary/client/use.ts'
import { type RunningBoundary, startBoundary } from '../../boundary/service/start.ts'
import { readCredential } from '../access/rows.ts'
import * as admin from './index.ts'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-admin-'))
const ALICE = 'arn:aws:iam::111122223333:user/alice'
let running: RunningBoundary
let control: ControlConnection
let use: UseConnection

before(async () => {
  running = await startBoundary({
    config: {
      service: 'kms',
      folder: path.join(folder, 'boundary'),
      dev: true,
      root: { kind: 'keyfile', file: path.join(folder, 'root.key') },
      logOrigin: 'test.example/log',
    },
    warnings: [],
    log: () => {},
    onFatal: error => {
      throw error
    },
    onStop: () => {},
  })
  control = connectControl({ socket: running.controlSocket })
  await new Promise<void>(resolve => {
    use = connectUse({
      socket: running.useSocket,
      onWriteSet: async () => {},
      onState: state => {
        if (state.kind === 'connected') resolve()
      },
    })
  })
})
after(async () => {
  use.close()
  control.close()
  await running.stop()
  fs.rmSync(folder, { recursive: true })
})

test('an account, a principal, its policy and its credential', async () => {
  await admin.createAccount(control, { id: '111122223333', name: 'Example' })
  await admin.createPrincipal(control, ALICE)
  await admin.putPolicy(control, ALICE, 'all', admin.ADMINISTRATOR_POLICY)
  const { accessKeyId, secretAccessKey } = await admin.createCredential(control, ALICE)
  const secret = secretAccessKey.reveal(bytes => Buffer.from(bytes))

  const row = await control.getRow('credential', accessKeyId)
  assert.ok(row?.body)
  assert.equal(row.link, ALICE)
  assert.ok(!row.body.includes(secret))
  const opened = readCredential(await use.openSecret(row))
  assert.equal(opened.head.principal, ALICE)
  assert.ok(opened.secret.equals(secret))

  // Neither the journal nor any other file of the boundary holds the secret in clear.
  for (const file of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue
    assert.ok(!fs.readFileSync(path.join(file.parentPath, file.name)).includes(secret), file.name)
  }

  await admin.deleteCredential(control, accessKeyId)
  await assert.rejects(use.openSecret(row))
  assert.deepEqual(await admin.listCredentials(control), [])
})

test('many principals are listed whole, page after page', async () => {
  const names = Array.from({ length: 600 }, (_, i) => `arn:aws:iam::111122223333:user/u${i}`)
  for (let at = 0; at < names.length; at += 50) {
    await Promise.all(names.slice(at, at + 50).map(arn => admin.createPrincipal(control, arn)))
  }
  const listed = (await admin.listPrincipals(control, '111122223333')).map(({ arn }) => arn)
  assert.equal(listed.length, names.length + 2)
  assert.deepEqual(new Set(listed), new Set([...names, ALICE, 'arn:aws:iam::111122223333:root']))
})

test('changes at the same time are all kept', async () => {
  await Promise.all(['a', 'b', 'c', 'd'].map(key => admin.tagPrincipal(control, ALICE, { [key]: '1' })))
  const [alice] = (await admin.listPrincipals(control)).filter(({ arn }) => arn === ALICE)
  assert.deepEqual(Object.keys(alice?.tags ?? {}).sort(), ['a', 'b', 'c', 'd'])
})

test('deleting a principal takes its credentials along', async () => {
  const { accessKeyId } = await admin.createCredential(control, ALICE)
  await admin.deletePrincipal(control, ALICE)
  assert.equal((await control.getRow('credential', accessKeyId))?.body ?? null, null)
  assert.equal((await control.getRow('principal', ALICE))?.body ?? null, null)
  await admin.createPrincipal(control, ALICE)
  assert.deepEqual(await admin.listCredentials(control, ALICE), [])
})
