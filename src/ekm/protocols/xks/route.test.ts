import assert from 'node:assert/strict'
import test from 'node:test'
import { parsePath } from './route.ts'

test('the four URIs, with and without a prefix', () => {
  assert.deepEqual(parsePath('/kms/xks/v1/health', ''), { tenant: '/', operation: 'health', keyId: '' })
  assert.deepEqual(parsePath('/a/b-c/kms/xks/v1/health', ''), { tenant: 'a/b-c', operation: 'health', keyId: '' })
  for (const operation of ['metadata', 'encrypt', 'decrypt'] as const)
    assert.deepEqual(parsePath(`/t/kms/xks/v1/keys/A.b-c_9/${operation}`, ''), {
      tenant: 't',
      operation,
      keyId: 'A.b-c_9',
    })
  assert.deepEqual(parsePath('/kms/xks/v1/keys/k/encrypt', ''), { tenant: '/', operation: 'encrypt', keyId: 'k' })
})

test('a prefix may itself look like a path of the API, and the last one counts', () => {
  assert.deepEqual(parsePath('/kms/xks/v1/keys/x/kms/xks/v1/keys/k/encrypt', ''), {
    tenant: 'kms/xks/v1/keys/x',
    operation: 'encrypt',
    keyId: 'k',
  })
})

test('everything else is no path of the API', () => {
  const wrong = [
    '',
    '/',
    '/health',
    'kms/xks/v1/health',
    '//kms/xks/v1/health',
    '/t//kms/xks/v1/health',
    '/t/kms/xks/v1/health/',
    '/t/kms/xks/v2/health',
    '/t/kms/xks/v1/keys/k',
    '/t/kms/xks/v1/keys//encrypt',
    '/t/kms/xks/v1/keys/k/sign',
    '/t/kms/xks/v1/keys/k/x/encrypt',
    '/t/kms/xks/v1/keys/%6b/encrypt',
    '/t/../t/kms/xks/v1/health',
    '/t%2fkms/xks/v1/health',
    '/t;a=b/kms/xks/v1/health',
    '/T/KMS/XKS/V1/health',
    `/t/kms/xks/v1/keys/${'k'.repeat(129)}/encrypt`,
    `/${'p'.repeat(117)}/kms/xks/v1/health`,
    `/${'p'.repeat(116)}/kms/xks/v1/keys/${'k'.repeat(114)}/metadata`,
  ]
  for (const path of wrong) assert.equal(parsePath(path, ''), undefined, path)
  assert.equal(parsePath('/t/kms/xks/v1/health', 'a=1'), undefined, 'no operation has a query')
})
