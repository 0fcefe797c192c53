/** From a root of trust in a PKCS#11 token to shares: the token is not needed any more, unless keys of the owner lie in it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fails, type InProcess, type InProcessOptions, inProcess } from '../src/boundary/service/testing/in-process.ts'
import { SoftHsm } from './support/softhsm.ts'

const hsm = new SoftHsm().use()
const folder = mkdtempSync(join(tmpdir(), 'holdfast-shares-token-'))
const open = new Set<InProcess>()
after(async () => {
  for (const one of open) await one.stop()
  rmSync(folder, { recursive: true, force: true })
  hsm.remove()
})

test('a root in a token is split only where no key would stay behind in it, and the next start needs no token', async () => {
  const pinFile = join(folder, 'pin')
  writeFileSync(pinFile, '4711-4711\n', { mode: 0o600 })
  hsm.addToken('owner', '4711-4711')
  const token = { module: hsm.module, token: { label: 'owner' }, pin: { file: pinFile } } as const
  const root = { kind: 'pkcs11', ...token, rootLabel: 'holdfast root' } as const
  const external = {
    scope: 'acme',
    tenant: 'acme',
    spec: 'EXTERNAL_AES_256',
    mayEncrypt: true,
    mayDecrypt: true,
  } as const
  const start = async (name: string, more: object, onConnected: InProcessOptions['onConnected'] = () => {}) => {
    const one = await inProcess({
      folder: join(folder, name),
      config: { service: 'ekm', dev: false, ...more },
      onConnected,
    })
    open.add(one)
    return one
  }
  const stop = async (one: InProcess) => {
    open.delete(one)
    await one.stop()
  }

  const held = await start('held', { root })
  await held.control.createExternalKey({ ...external, id: 'acme/a', backing: 'TOKEN', tokenObject: '' }, {})
  await assert.rejects(held.control.splitRoot(2, 3), fails('InvalidState'))
  assert.equal(await held.control.ceremony(), undefined)
  await stop(held)

  const free = await start('free', { root })
  await free.control.createExternalKey({ ...external, id: 'acme/b', backing: 'SEALED', tokenObject: '' }, {})
  const { ceremony, share } = await free.control.splitRoot(2, 2)
  const other = (await free.control.takeShare(ceremony)).share
  await free.control.confirmShare(ceremony, share)
  assert.equal((await free.control.confirmShare(ceremony, other)).done, true)
  while ((await free.control.rootStatus()).generations.length > 1) await delay(5)
  const made = await free.use.externalEncrypt(await free.key('acme/b'), Buffer.from('kept'), Buffer.alloc(0), false, {})
  await stop(free)

  hsm.remove()
  const locked: boolean[] = []
  const again = await start('free', { root: { kind: 'shares' } }, hello => locked.push(hello.locked))
  const begun = await again.control.giveShare('', other)
  assert.equal((await again.control.giveShare(begun.ceremony, share)).done, true)
  // The front end's connection was ended, and comes again.
  while (locked.at(-1) !== false) await delay(5)
  const opened = await again.use.externalDecrypt(await again.key('acme/b'), made, Buffer.alloc(0), {})
  assert.equal(opened.toString(), 'kept')
  await stop(again)
})
