import assert from 'node:assert/strict'
import test from 'node:test'
import { parsePath } from './route.ts'

const ROUTES: readonly (readonly [string, string, string, string])[] = [
  ['/payments:wrap', '/', 'wrap', 'payments'],
  ['/acme/payments:unwrap', 'acme', 'unwrap', 'payments'],
  ['/v0/customers/acme/a.b_c-1:wrap', 'v0/customers/acme', 'wrap', 'a.b_c-1'],
]
for (const [path, tenant, operation, keyId] of ROUTES)
  test(path, () => assert.deepEqual(parsePath(path), { tenant, operation, keyId }))

test('what Cloud EKM has and Holdfast does not is told apart from what is no path at all', () => {
  for (const path of [
    '/acme/k:asymmetricSign',
    '/acme/k:getPublicKey',
    '/acme/k:destroyKey',
    '/acme/cryptospaces/c:createKey',
    '/acme/cryptospaces/c:checkCryptoSpacePermissions',
    '/acme/k:confidentialwrap',
    '/acme/k:confidentialunwrap',
  ])
    assert.equal(parsePath(path), 'unimplemented', path)
  for (const path of [
    '',
    '/',
    ':wrap',
    '/:wrap',
    '//k:wrap',
    '/acme//k:wrap',
    '/acme/k',
    '/acme/k:Wrap',
    '/acme/k:wrap/',
    '/acme/k:wrap:wrap',
    '/acme/k%3Awrap',
    '/acme/../acme/k:wrap',
    '/ac me/k:wrap',
    'acme/k:wrap',
    `/${'a'.repeat(300)}/k:wrap`,
  ])
    assert.equal(parsePath(path), undefined, path)
})
