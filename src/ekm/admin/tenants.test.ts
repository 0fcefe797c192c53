import assert from 'node:assert/strict'
import test from 'node:test'
import { type AdminControl, AdminError } from '../../store/admin.ts'
import { createTenant, setClients } from './tenants.ts'

test('names of client certificates are bounded in bytes before anything is asked', () => {
  const asked = {} as AdminControl
  for (const clients of [[''], ['a'.repeat(257)], ['é'.repeat(129)], Array.from({ length: 33 }, (_, n) => `c${n}`)]) {
    assert.throws(() => createTenant(asked, 'acme', clients), AdminError)
    assert.throws(() => setClients(asked, 'acme', clients), AdminError)
  }
})
