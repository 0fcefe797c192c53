import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { boundarySettings } from './boundary.ts'
import { ekmConfig } from './ekm.ts'
import { serviceFolders } from './folders.ts'
import { parseConfig } from './load.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-config-'))
after(() => rmSync(folder, { recursive: true }))
const config = (data: string, boundary: object = {}, log: object = {}) =>
  parseConfig(
    ekmConfig,
    { data, boundary: { root: { kind: 'keyfile', file: join(data, 'root.key') }, ...boundary }, log },
    { files: false },
  )

test('a log that was not named keeps the name that was made up for it', () => {
  const data = join(folder, 'a')
  const first = boundarySettings('ekm', config(data), false)
  assert.match(first.logOrigin, /^holdfast-ekm-[0-9a-f]{16}$/)
  assert.deepEqual(boundarySettings('ekm', config(data), false), first)
  assert.equal(statSync(data).mode & 0o777, 0o700)
  assert.equal(first.folder, serviceFolders(data).boundary)
  assert.equal(boundarySettings('ekm', config(data, {}, { origin: 'x.example/log' }), false).logOrigin, 'x.example/log')
})

test('users go in by name and come out by number; an unknown one stops the start by name', () => {
  const me = userInfo()
  const data = join(folder, 'b')
  const { users } = boundarySettings(
    'ekm',
    config(data, { users: { frontEnd: me.username, boundary: me.username } }),
    true,
  )
  assert.deepEqual(users?.frontEnd, { uid: me.uid, gid: me.gid })
  assert.throws(
    () => boundarySettings('ekm', config(data, { users: { frontEnd: 'no-such-user-here', boundary: 'x' } }), true),
    /boundary\.users\.frontEnd: there is no user no-such-user-here/,
  )
})
