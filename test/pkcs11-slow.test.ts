/**
 * A token that does not answer, or answers late: real SoftHSM2, with calls held back until the test lets them go.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { openTokenWith } from '../src/boundary/pkcs11/token.ts'
import type { TokenError, TokenOptions } from '../src/boundary/pkcs11/types.ts'
import { Secret } from '../src/boundary/root/types.ts'
import { SoftHsm } from './support/softhsm.ts'
import { eventually, rejectsWith, Watched } from './support/watched-cryptoki.ts'

process.env.UV_THREADPOOL_SIZE = '16'

const PIN = '1234'
const LABEL = 'holdfast-test'
const KEY = randomBytes(32)
const AAD = Buffer.from('additional data')

describe('a slow token', () => {
  let hsm: SoftHsm
  let watched: Watched
  beforeEach(() => {
    hsm = new SoftHsm().use().addToken(LABEL, PIN)
    hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
    watched = new Watched()
  })
  afterEach(() => hsm.remove())

  const open = (options: Partial<TokenOptions>) =>
    openTokenWith(watched.load, {
      module: hsm.module,
      token: { label: LABEL },
      pin: new Secret(Buffer.from(PIN)),
      calls: 'async',
      ...options,
    })

  test('a call past its deadline is Timeout, holds its place until it returns, and its session is discarded then', async () => {
    const token = await open({ sessions: 2, deadlineMs: 250 })
    await token.findKey('id:01')
    let release = () => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    let first = true
    watched.interfere.set('C_Encrypt', async proceed => {
      if (!first) return proceed()
      first = false
      await held
      return proceed()
    })
    const encrypt = () => token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('x'))
    const started = performance.now()
    const slow = rejectsWith(encrypt(), 'Timeout')
    await encrypt()
    await slow
    assert.ok(performance.now() - started < 2000)
    assert.equal(token.status().abandoned, 1)
    await encrypt()
    assert.equal(token.status().sessions, 2, 'the abandoned call keeps its place')
    const closed = watched.count('C_CloseSession')
    release()
    await eventually(
      () => token.status().abandoned === 0 && watched.count('C_CloseSession') === closed + 1,
      'discarded',
    )
    await eventually(() => token.status().sessions === 1, 'its place is free')
    await encrypt()
    await token.close()
  })

  test('with every session hanging, calls wait at most their deadline, and beyond the queue they are Busy at once', async () => {
    const token = await open({ sessions: 2, deadlineMs: 250, queue: 3 })
    await token.findKey('id:01')
    let release = () => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    watched.interfere.set('C_EncryptInit', async proceed => {
      await held
      return proceed()
    })
    const encrypt = () => token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('x'))
    const results = await Promise.allSettled(Array.from({ length: 8 }, encrypt))
    const codes = results.map(result => (result.status === 'rejected' ? (result.reason as TokenError).code : 'done'))
    assert.deepEqual(codes.filter(code => code === 'Timeout').length, 5)
    assert.deepEqual(codes.filter(code => code === 'Busy').length, 3)
    assert.equal(watched.count('C_EncryptInit'), 2, 'no more calls inside the token than sessions')
    release()
    await eventually(() => token.status().sessions === 0, 'both abandoned sessions are gone')
    watched.interfere.clear()
    await encrypt()
    await token.close()
  })

  test('asynchronous sessions need threads of their own', async () => {
    await rejectsWith(open({ sessions: 60 }), 'Misconfigured')
    await rejectsWith(open({ sessions: 0 }), 'Misconfigured')
    await rejectsWith(open({ sessions: 65 }), 'Misconfigured')
  })

  test('SoftHSM is called synchronously unless configured otherwise', async () => {
    const token = await openTokenWith(watched.load, {
      module: hsm.module,
      token: { label: LABEL },
      pin: new Secret(Buffer.from(PIN)),
    })
    assert.equal(token.status().calls, 'sync')
    await token.close()
  })
})
