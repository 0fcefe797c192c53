/**
 * Front end and boundary as two users: what is one's is closed to the other, and only the use socket is between them. And what becomes of the children when
 * the supervisor is killed.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { giveFolders } from '../src/boundary/supervisor/users.ts'
import { configOf, temporaryFolder } from './boundary/harness.ts'

const USERS = { frontEnd: { uid: 64_123, gid: 64_123 }, boundary: { uid: 64_124, gid: 64_124 } }
const folders: string[] = []
const folder = (): string => {
  const made = temporaryFolder()
  folders.push(made)
  return made
}
after(() => {
  for (const each of folders) fs.rmSync(each, { recursive: true, force: true })
})

/** A copy of what the processes need, where any user can read it: the clone may lie in somebody's home. */
function readableCopy(): { node: string; root: string } {
  const root = folder()
  fs.chmodSync(root, 0o755)
  const here = path.join(import.meta.dirname, '..')
  for (const part of ['package.json', 'src/boundary', 'test/boundary', 'node_modules/koffi', 'node_modules/@koromix']) {
    if (fs.existsSync(path.join(here, part)))
      fs.cpSync(path.join(here, part), path.join(root, part), { recursive: true })
  }
  const node = path.join(root, 'node')
  fs.copyFileSync(process.execPath, node)
  fs.chmodSync(node, 0o755)
  return { node, root }
}

interface Started {
  readonly supervisor: ReturnType<typeof spawn>
  readonly line: { uid: number; pids: { frontEnd: number; boundary: number } }
}

/** The supervisor as a process of its own. */
async function start(config: object, copy: { node: string; root: string }): Promise<Started> {
  const entry = path.join(copy.root, 'test', 'boundary', 'supervised.ts')
  const supervisor = spawn(copy.node, [entry, JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'ignore'] })
  assert.ok(supervisor.stdout)
  const lines = createInterface({ input: supervisor.stdout })
  const line = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve)
    supervisor.once('exit', code => reject(new Error(`the supervisor ended with ${code}`)))
  })
  return { supervisor, line: JSON.parse(line) }
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !/^State:\s*Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
const gone = async (...pids: number[]): Promise<void> => {
  while (pids.some(alive)) await new Promise(resolve => setTimeout(resolve, 10))
}

test('the supervisor is killed: boundary and front end end too', async () => {
  const root = path.join(import.meta.dirname, '..')
  const { supervisor, line } = await start(configOf(folder()), { node: process.execPath, root })
  supervisor.kill('SIGKILL')
  await gone(line.pids.boundary, line.pids.frontEnd)
})

test('two users: files of one are closed to the other, and the use socket is not', async () => {
  const parent = folder()
  fs.chmodSync(parent, 0o755)
  const config = {
    ...configOf(parent),
    users: USERS,
    root: { kind: 'keyfile', file: path.join(parent, 'boundary', 'root.key') },
  } as const
  if (process.getuid?.() !== 0) {
    assert.throws(() => giveFolders(config, []), /needs a start as root/)
    return
  }
  assert.throws(() => giveFolders({ ...config, users: { ...USERS, boundary: USERS.frontEnd } }, []), /name two/)
  const copy = readableCopy()
  const { supervisor, line } = await start(config, copy)
  assert.equal(line.uid, USERS.frontEnd.uid)
  const uidOf = (pid: number): number =>
    Number(/^Uid:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  assert.equal(uidOf(line.pids.boundary), USERS.boundary.uid)
  assert.equal(uidOf(line.pids.frontEnd), USERS.frontEnd.uid)
  const top = config.folder
  for (const name of fs.readdirSync(top, { recursive: true, encoding: 'utf8' })) {
    const stat = fs.statSync(path.join(top, name))
    assert.equal(stat.uid, USERS.boundary.uid, name)
    assert.equal(stat.mode & 0o777, name === 'use.sock' ? 0o660 : stat.isDirectory() ? 0o700 : 0o600, name)
  }
  // What the front end's user can do in there, tried as that user.
  const tried = spawn(copy.node, [path.join(copy.root, 'test', 'boundary', 'trespasser.ts'), top], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...USERS.frontEnd,
  })
  let output = ''
  tried.stdout.on('data', chunk => {
    output += chunk
  })
  await new Promise(resolve => tried.once('close', resolve))
  assert.deepEqual(JSON.parse(output), {
    'list the folder': 'EACCES',
    'read the root file': 'EACCES',
    'read the key file': 'EACCES',
    'list the journal': 'EACCES',
    'write a file': 'EACCES',
    'remove the use socket': 'EACCES',
    'connect to control.sock': 'EACCES',
    'connect to use.sock': 'ok',
  })
  supervisor.kill('SIGTERM')
  await gone(line.pids.boundary, line.pids.frontEnd)
})
