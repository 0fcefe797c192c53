import assert from 'node:assert/strict'
import test from 'node:test'
import { isOurVersion, parsePath } from './route.ts'

const ROUTES: readonly (readonly [string, string, string, string])[] = [
  ['/info', '/', 'info', ''],
  ['/contoso/info', 'contoso', 'info', ''],
  ['/contoso/prod/info', 'contoso/prod', 'info', ''],
  ['/aes-key-1/metadata', '/', 'metadata', 'aes-key-1'],
  ['/contoso/aes-key-1/wrapkey', 'contoso', 'wrapkey', 'aes-key-1'],
  ['/contoso/prod/K/unwrapkey', 'contoso/prod', 'unwrapkey', 'K'],
  ['/info/metadata', '/', 'metadata', 'info'],
  ['/a/metadata/metadata', 'a', 'metadata', 'metadata'],
  ['/a/wrapkey/info', 'a/wrapkey', 'info', ''],
  [`/${'p'.repeat(64)}/${'k'.repeat(64)}/unwrapkey`, 'p'.repeat(64), 'unwrapkey', 'k'.repeat(64)],
]
for (const [path, tenant, operation, keyId] of ROUTES)
  test(path.slice(0, 40), () => assert.deepEqual(parsePath(path), { tenant, operation, keyId }))

test('anything else is no path of this API', () => {
  for (const path of [
    '',
    '/',
    'info',
    '//info',
    '/contoso//info',
    '/contoso/info/',
    '/contoso/INFO',
    '/metadata',
    '//metadata',
    '/contoso//wrapkey',
    '/contoso/k/encrypt',
    '/contoso/a.b/wrapkey',
    '/contoso/a_b/wrapkey',
    '/con_toso/k/wrapkey',
    '/contoso/%6b/wrapkey',
    '/contoso/../contoso/k/wrapkey',
    '/contoso/k/wrapkey\n',
    `/contoso/${'k'.repeat(65)}/metadata`,
    `/${'p'.repeat(65)}/info`,
    '/é/info',
  ])
    assert.equal(parsePath(path), undefined, path)
})

test('the version is given once, and is 0.1-preview', () => {
  for (const query of [
    'api-version=0.1-preview',
    'x=1&api-version=0.1-preview',
    'api-version=0.1-preview&api-versions',
  ])
    assert.equal(isOurVersion(query), true, query)
  for (const query of [
    '',
    'api-version',
    'api-version=',
    'api-version=1.0',
    'api-version=0.1-preview ',
    'Api-Version=0.1-preview',
    'api-version=0.1-preview&api-version=0.1-preview',
    'api-version=0.1-preview&api-version=1.0',
    'api-version=0.1-preview&api-version',
    `api-version=0.1-preview&${'x'.repeat(240)}`,
  ])
    assert.equal(isOurVersion(query), false, query)
})
