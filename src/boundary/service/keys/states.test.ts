import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KEY_STATES, type KeyHeader, type KeyState } from '../../words.ts'
import { follow } from '../transition.ts'
import { KEY_TRANSITIONS, TRANSITIONS, USE_STATES } from './states.ts'

const states = Object.keys(KEY_STATES) as KeyState[]

test('every state has an answer to every transition and to a use, and no unknown state has one', () => {
  for (const transition of KEY_TRANSITIONS) {
    assert.deepEqual(Object.keys(TRANSITIONS[transition]).sort(), [...states].sort(), transition)
  }
  assert.deepEqual(Object.keys(USE_STATES).sort(), [...states].sort())
})

/** aws-kms.md §9.2 and §9.3, in the four states of the KMS: the state that follows, `=` where it stays, `!` with the refusal. */
const AWS: Readonly<Record<string, readonly [string, string, string, string]>> = {
  //                           Enabled            Disabled           PendingDeletion         PendingImport
  enableKey: ['=', 'Enabled', '!KeyPendingDeletion', '!KeyPendingImport'],
  disableKey: ['Disabled', '=', '!KeyPendingDeletion', '!KeyPendingImport'],
  scheduleKeyDeletion: ['PendingDeletion', 'PendingDeletion', '!KeyPendingDeletion', 'PendingDeletion'],
  cancelKeyDeletion: ['!InvalidState', '!InvalidState', 'Disabled', '!InvalidState'],
  putKeyPolicy: ['=', '=', '=', '='],
  setKeyRotation: ['=', '!KeyDisabled', '!KeyPendingDeletion', '!KeyPendingImport'],
  rotateKeyOnDemand: ['=', '!KeyDisabled', '!KeyPendingDeletion', '!KeyPendingImport'],
  importParameters: ['=', '=', '!KeyPendingDeletion', '='],
  importKeyMaterial: ['=', '=', '!KeyPendingDeletion', '='],
  deleteImportedKeyMaterial: ['=', '=', '=', '='],
}
const order = ['Enabled', 'Disabled', 'PendingDeletion', 'PendingImport'] as const

test('the table of the KMS is AWS’s', () => {
  for (const transition of KEY_TRANSITIONS) {
    const row = AWS[transition]
    if (row === undefined) continue
    for (const [at, state] of order.entries()) {
      let answer: string
      try {
        answer = follow(transition, { state } as KeyHeader) ?? '='
      } catch (error) {
        answer = `!${(error as { code: string }).code}`
      }
      assert.equal(answer, row[at], `${transition} in ${state}`)
    }
  }
})

test('only Enabled (and Updating, which keeps its material) allows a use', () => {
  for (const state of states) {
    assert.equal(USE_STATES[state] === undefined, state === 'Enabled' || state === 'Updating', state)
  }
})
