import assert from 'node:assert/strict'
import test from 'node:test'
import { isServiceUrl, issuers, readRange } from './ekm-tokens.ts'

test('services are asked over https, and over http on this machine only', () => {
  for (const url of ['https://kacls.example/v1', 'http://127.0.0.1:1/', 'http://[::1]:1/', 'http://localhost/'])
    assert.equal(isServiceUrl(url), true, url)
  for (const url of [
    'http://kacls.example/v1',
    'http://10.0.0.1/',
    'https://user@kacls.example/',
    'https://kacls.example/?q',
    'https://kacls.example/#f',
    'ftp://kacls.example/',
    'file:///etc/keys.json',
    'kacls.example',
    '',
  ])
    assert.equal(isServiceUrl(url), false, url)
})

test('ranges of addresses', () => {
  assert.deepEqual(readRange('10.0.0.0/8'), { address: '10.0.0.0', prefix: 8, family: 'ipv4' })
  assert.deepEqual(readRange('10.1.2.3'), { address: '10.1.2.3', prefix: 32, family: 'ipv4' })
  assert.deepEqual(readRange('2001:db8::/32'), { address: '2001:db8::', prefix: 32, family: 'ipv6' })
  for (const text of ['', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/08', '10.0.0/8', '::/129', 'host/8', '10.0.0.0/8/8'])
    assert.equal(readRange(text), undefined, text)
})

test('an issuer has audiences and a place of its keys', () => {
  const accepts = (issuer: object): boolean => issuers.safeParse({ 'https://id.example/': issuer }).success
  const good = { audiences: ['a'], keys: 'https://id.example/keys' }
  assert.equal(accepts(good), true)
  assert.equal(accepts({ ...good, keys: 'file:///etc/keys.json', addresses: ['10.0.0.0/8'] }), true)
  for (const wrong of [
    { ...good, audiences: [] },
    { ...good, keys: 'http://id.example/keys' },
    { ...good, keys: 'file://host/keys.json' },
    { ...good, addresses: ['everywhere'] },
    { ...good, more: 1 },
    { keys: good.keys },
  ])
    assert.equal(accepts(wrong), false, JSON.stringify(wrong))
})
