import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isHostName, isPublicAddress, PublicAddresses } from './addresses.ts'
import { XksFailure } from './failures.ts'

test('loopback, private, link-local, metadata, multicast and reserved addresses are not public', () => {
  const refused = [
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '100.127.255.255',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.8',
    '192.0.2.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.9',
    '224.0.0.1',
    '239.1.1.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '64:ff9b::7f00:1',
    'fc00::1',
    'fd12:3456::1',
    'fe80::1',
    'ff02::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '2001::1',
    'fd00:ec2::254',
    '',
    'localhost',
    '8.8.8',
    '0x7f.1',
    '8.8.8.8.',
    ' 8.8.8.8',
  ]
  for (const address of refused) assert.equal(isPublicAddress(address), false, address)
  for (const address of ['8.8.8.8', '100.63.255.255', '100.128.0.0', '172.15.0.1', '172.32.0.1', '2606:4700::1111']) {
    assert.equal(isPublicAddress(address), true, address)
  }
})

test('addresses in every spelling are no host names', () => {
  const refused = [
    '127.0.0.1',
    '2130706433',
    '127.1',
    '0x7f000001',
    '0x7f.0x1',
    'localhost',
    'a',
    '',
    '.',
    'a..b',
    '-a.b',
    'a.b-',
    'x.0x',
    'a.b.',
  ]
  for (const name of refused) assert.equal(isHostName(name), false, name)
  for (const name of ['xks.example.com', 'a.b', 'x-1.example.c0m']) assert.equal(isHostName(name), true, name)
  fc.assert(fc.property(fc.ipV4(), address => !isHostName(address)))
})

const failsAs = (part: string) => (error: unknown) =>
  error instanceof XksFailure && error.failure === 'tcp' && error.detail.includes(part)

test('a name of which any address is not public is refused, and nothing is kept of it', async () => {
  let asked = 0
  const addresses = new PublicAddresses(async () => {
    asked += 1
    return [
      { address: '8.8.8.8', ttl: 60 },
      { address: '169.254.169.254', ttl: 60 },
    ]
  })
  await assert.rejects(async () => addresses.address('rebind.example.com'), failsAs('169.254.169.254'))
  await assert.rejects(async () => addresses.address('rebind.example.com'), failsAs('169.254.169.254'))
  assert.equal(asked, 2)
  await assert.rejects(async () => addresses.address('10.0.0.1'), failsAs('no fully qualified'))
  assert.equal(asked, 2, 'the DNS is not asked for what is no name')
})

test('one question at a time, kept for as long as the DNS says', async () => {
  let asked = 0
  const addresses = new PublicAddresses(async () => {
    asked += 1
    return [{ address: '8.8.4.4', ttl: 60 }]
  })
  const both = await Promise.all([addresses.address('a.example.com'), addresses.address('a.example.com')])
  assert.deepEqual(both, ['8.8.4.4', '8.8.4.4'])
  assert.equal(addresses.address('a.example.com'), '8.8.4.4')
  assert.equal(asked, 1)
})

test('no answer of the DNS is a failure to connect', async () => {
  const addresses = new PublicAddresses(() => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' })))
  await assert.rejects(async () => addresses.address('a.example.com'), failsAs('ENOTFOUND'))
  const empty = new PublicAddresses(async () => [])
  await assert.rejects(async () => empty.address('a.example.com'), failsAs('no IPv4 address'))
})
