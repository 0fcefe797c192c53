import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  available,
  clockState,
  ENOSYS,
  EWOULDBLOCK,
  flock,
  getrlimit,
  LOCK_EX,
  LOCK_NB,
  LOCK_UN,
  mlockall,
  PR_GET_DUMPABLE,
  PR_SET_DUMPABLE,
  prctl,
  prctlGet,
  RLIMIT_CORE,
  RLIMIT_NOFILE,
  setrlimit,
} from './libc.ts'

const EINVAL = 22
const EBADF = 9

test('on Linux the calls reach the kernel, elsewhere they say ENOSYS', () => {
  assert.equal(available, process.platform === 'linux')
  if (!available) assert.equal(prctl(PR_SET_DUMPABLE, 0), ENOSYS)
})

test('prctl sets and gets whether the process can be dumped', () => {
  if (!available) return
  assert.equal(prctl(PR_SET_DUMPABLE, 0), 0)
  assert.equal(prctlGet(PR_GET_DUMPABLE), 0)
  assert.equal(prctl(PR_SET_DUMPABLE, 1), 0)
  assert.equal(prctlGet(PR_GET_DUMPABLE), 1)
  assert.equal(prctl(PR_SET_DUMPABLE, 77), EINVAL)
})

test('resource limits are read and lowered, and a wrong resource is EINVAL', () => {
  if (!available) return
  const before = getrlimit(RLIMIT_CORE)
  assert.equal(before.errno, 0)
  assert.equal(setrlimit(RLIMIT_CORE, 0, before.hard), 0)
  assert.deepEqual(getrlimit(RLIMIT_CORE), { errno: 0, soft: 0, hard: before.hard })
  assert.ok(getrlimit(RLIMIT_NOFILE).soft > 0)
  assert.equal(setrlimit(9999, 0, 0), EINVAL)
  assert.equal(getrlimit(9999).errno, EINVAL)
})

test('mlockall refuses flags that do not exist', () => {
  if (!available) return
  assert.equal(mlockall(0x4000), EINVAL)
})

test('a second open of a locked file is refused without waiting until the first unlocks', () => {
  if (!available) return
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-libc-'))
  const file = join(folder, 'lock')
  const [first, second] = [openSync(file, 'w'), openSync(file, 'w')]
  try {
    assert.equal(flock(first, LOCK_EX | LOCK_NB), 0)
    assert.equal(flock(second, LOCK_EX | LOCK_NB), EWOULDBLOCK)
    assert.equal(flock(first, LOCK_UN), 0)
    assert.equal(flock(second, LOCK_EX | LOCK_NB), 0)
  } finally {
    closeSync(first)
    closeSync(second)
    rmSync(folder, { recursive: true })
  }
  assert.equal(flock(first, LOCK_EX), EBADF)
})

test('the kernel says of the clock whether it is synchronised, and how far it may be off; elsewhere nothing does', () => {
  const state = clockState()
  if (!available) return assert.equal(state, undefined)
  assert.equal(typeof state?.synchronised, 'boolean')
  // NTP's own bound of what is not synchronised is 16 s.
  assert.ok(state !== undefined && state.maxErrorMicros >= 0 && state.maxErrorMicros <= 16_000_000)
})
