/**
 * A token that was taken away and comes back while another one of its module never went: SoftHSM sees it only after it was initialised anew, which is done between
 * the calls of the other one. The other one is used on without an error.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { openTokenWith } from '../src/boundary/pkcs11/token.ts'
import { type Token, TokenError, type TokenOptions } from '../src/boundary/pkcs11/types.ts'
import { Secret } from '../src/boundary/root/types.ts'
import { SoftHsm } from './support/softhsm.ts'
import { type Ask, survived, throughLoss } from './support/taken-token.ts'
import { eventually, rejectsWith, Watched } from './support/watched-cryptoki.ts'

process.env.UV_THREADPOOL_SIZE = '32'

const AAD = Buffer.from('additional data')
const REF = 'label:key'
/** Of a call, with which a module of the usual kind is used. */
const DEADLINE_MS = 1000

for (const calls of ['sync', 'async'] as const) {
  describe(`two tokens of one module, calls ${calls}`, () => {
    let hsm: SoftHsm
    let watched: Watched
    let tokens: Token[]
    let states: string[]

    const open = async (label: string, options: Partial<TokenOptions> = {}): Promise<Token> => {
      const token = await openTokenWith(watched.load, {
        module: hsm.module,
        token: { label },
        pin: new Secret(Buffer.from(`pin of ${label}`)),
        sessions: 4,
        deadlineMs: DEADLINE_MS,
        reopenMs: 50,
        calls,
        onChange: ({ state }) => states.push(`${label} ${state}`),
        ...options,
      })
      tokens.push(token)
      await token.generateKey('key', randomBytes(16), { encrypt: true, decrypt: true })
      return token
    }

    beforeEach(() => {
      hsm = new SoftHsm().use()
      for (const label of ['taken', 'kept']) hsm.addToken(label, `pin of ${label}`)
      watched = new Watched()
      tokens = []
      states = []
    })
    afterEach(async () => {
      for (const token of tokens) await token.close()
      hsm.remove()
    })

    const uses = async (token: Token): Promise<Ask[]> => {
      const plaintext = randomBytes(32)
      const kept = await token.gcmEncrypt(REF, randomBytes(12), AAD, plaintext)
      const wrapped = await token.wrapKey(REF, 'padded', plaintext)
      // A token that is called on this thread answers in the same turn: others are to have theirs.
      const named = async (work: () => Promise<unknown>): Promise<string> => {
        await new Promise(resolve => setImmediate(resolve))
        try {
          await work()
          return 'done'
        } catch (error) {
          assert.ok(error instanceof TokenError, String(error))
          return error.code
        }
      }
      return [
        () => named(() => token.gcmEncrypt(REF, randomBytes(12), AAD, plaintext)),
        () =>
          named(() =>
            token
              .gcmDecrypt(REF, kept.iv, AAD, kept.ciphertext, kept.tag)
              .then(opened => assert.deepEqual(opened, plaintext)),
          ),
        () => named(() => token.unwrapKey(REF, 'padded', wrapped).then(opened => assert.deepEqual(opened, plaintext))),
      ]
    }

    test('under load: the taken one comes back by itself, and no use of the other one fails', async () => {
      const [taken, kept] = [await open('taken'), await open('kept')]
      const asks = await uses(taken)
      const outcome = await throughLoss(hsm.removable('taken'), 6, asks, await uses(kept))
      await survived(outcome, ['TokenLost', 'Timeout', 'KeyNotFound', 'Failed'], asks)
      assert.ok((outcome.beside.get('done') ?? 0) > 100)
      assert.deepEqual(states, ['taken lost', 'taken open'])
      assert.deepEqual([kept.status().losses, kept.status().state], [0, 'open'])
      assert.ok(kept.status().logins >= 2, 'the module was initialised anew')
      assert.ok(outcome.slowest < 2 * DEADLINE_MS, `${outcome.slowest} ms`)
    })

    test('while it stays away the module is initialised anew ever more seldom, and never at once', async () => {
      const [taken, kept] = [await open('taken'), await open('kept')]
      const removable = hsm.removable('taken')
      removable.take()
      const before = watched.count('C_Initialize')
      const asks = await uses(kept)
      await rejectsWith(
        taken.random(8).then(() => taken.findKey('label:other')),
        'TokenLost',
      ).catch(() => {})
      await eventually(() => taken.status().state === 'lost', 'the loss')
      const lostAt = performance.now()
      const at: number[] = []
      for (let seen = before; performance.now() - lostAt < 4500; ) {
        for (const ask of asks) assert.equal(await ask(), 'done')
        if (watched.count('C_Initialize') > seen) at.push(performance.now() - lostAt)
        seen = watched.count('C_Initialize')
        await new Promise(resolve => setImmediate(resolve))
      }
      assert.ok((at[0] ?? 0) >= 900, `the first after ${at[0]} ms`)
      assert.ok(at.length >= 1 && at.length <= 2, `${at.length} times in 4.5 s: ${at.join(', ')}`)
      assert.deepEqual([kept.status().losses, kept.status().state], [0, 'open'])
      removable.putBack()
      await eventually(() => taken.status().state === 'open', 'the return')
      assert.equal((await taken.findKey(REF)).label, 'key')
    })

    // On this thread a call that does not return stops everything.
    if (calls === 'async')
      test('a call of the other one that does not return is left alone: the module is not initialised anew before it has', async () => {
        const [taken, kept] = [await open('taken'), await open('kept', { deadlineMs: 200 })]
        const hanging = Promise.withResolvers<void>()
        const inside = Promise.withResolvers<void>()
        watched.interfere.set('C_GenerateRandom', async proceed => {
          inside.resolve()
          await hanging.promise
          return proceed()
        })
        const late = rejectsWith(kept.random(8), 'Timeout')
        await inside.promise
        await late
        const before = watched.count('C_Finalize')
        const removable = hsm.removable('taken')
        removable.take()
        await taken.findKey('label:other').catch(() => {})
        await eventually(() => taken.status().state === 'lost', 'the loss')
        removable.putBack()
        const until = performance.now() + 2500
        const [ask] = await uses(kept)
        while (performance.now() < until) {
          assert.equal(await ask?.(), 'done')
          await new Promise(resolve => setImmediate(resolve))
        }
        assert.deepEqual([watched.count('C_Finalize'), taken.status().state], [before, 'lost'])
        hanging.resolve()
        await eventually(() => taken.status().state === 'open', 'the return')
        assert.equal(kept.status().losses, 0)
      })

    test('a PIN that was changed meanwhile is tried once, and its token says why it failed', async () => {
      const [taken, kept] = [await open('taken'), await open('kept')]
      const removable = hsm.removable('taken')
      removable.take()
      await taken.findKey('label:other').catch(() => {})
      await eventually(() => taken.status().state === 'lost', 'the loss')
      hsm.pkcs11Tool('kept', 'pin of kept', '--change-pin', '--new-pin', 'another pin')
      removable.putBack()
      await eventually(() => taken.status().state === 'open', 'the return')
      await eventually(() => kept.status().state === 'failed', 'the refusal')
      assert.equal(kept.status().logins, 2)
      await rejectsWith(kept.random(8), 'PinIncorrect')
    })
  })
}
