import assert from 'node:assert/strict'
import { sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import {
  asMap,
  LINKS,
  makeHierarchy,
  PCRS,
  recipientKeys,
  registers,
  signDocument,
} from '../../../test/support/attestation.ts'
import { document, fields, hierarchy, NOW, recipient, refused, verify } from '../../../test/support/attested.ts'
import { Attestations, loadRoots } from './verify.ts'

describe('an attestation document', () => {
  it('of an enclave is verified, with and without a tag and lengths', () => {
    for (const open of [true, false]) {
      for (const tagged of [true, false]) {
        const found = verify(signDocument(hierarchy, asMap(fields(), open), { tagged }))
        assert.equal(found.kind, 'enclave')
        assert.equal(found.moduleId, 'i-00000000000000000-enc0000000000000000')
        assert.equal(found.pcrs.size, 16)
        assert.equal(found.pcrs.get(10), '0a'.repeat(48))
        assert.deepEqual(found.publicKey, recipient.publicKey)
      }
    }
  })

  it('of an instance with a NitroTPM is verified', () => {
    const found = verify(document({ pcrs: undefined, nitrotpm_pcrs: PCRS }))
    assert.equal(found.kind, 'nitro-tpm')
    assert.equal(found.pcrs.get(4), '04'.repeat(48))
  })

  it('may have everything at its bounds', () => {
    const full = Object.fromEntries(
      Array.from({ length: 32 }, (_, at) => [at, Buffer.alloc([32, 48, 64][at % 3] ?? 0, at)]),
    )
    const most = {
      pcrs: registers(full),
      user_data: Buffer.alloc(1024),
      nonce: Buffer.alloc(1024),
      module_id: 'm'.repeat(256),
    }
    assert.equal(verify(document(most)).pcrs.size, 32)
    const least = {
      pcrs: registers({ 31: Buffer.alloc(32) }),
      user_data: Buffer.alloc(0),
      nonce: undefined,
      module_id: 'm',
    }
    assert.deepEqual([...verify(document(least)).pcrs.keys()], [31])
    for (const bits of [3072, 4096]) {
      const { publicKey } = recipientKeys(bits)
      assert.deepEqual(verify(document({ public_key: publicKey })).publicKey, publicKey)
    }
  })

  it('is read from the bytes that the Nitro Secure Module writes', () => {
    // Laid out by hand, as documents of AWS have it, and not by the writer of the other tests.
    const bytes = (hex: string, more: Buffer = Buffer.alloc(0)): Buffer =>
      Buffer.concat([Buffer.from(hex, 'hex'), more])
    const long = (value: Buffer): Buffer => bytes(`59${value.length.toString(16).padStart(4, '0')}`, value)
    const named = (name: string): Buffer => Buffer.concat([Buffer.of(0x60 + name.length), Buffer.from(name)])
    const [leaf, ...authorities] = [...hierarchy.certificates].reverse() as [Buffer, ...Buffer[]]
    const time = Buffer.alloc(8)
    time.writeBigUInt64BE(BigInt(NOW))
    const body = [
      named('module_id'),
      bytes('7827', Buffer.from('i-0123456789abcdef0-enc0123456789abcdef')),
      named('digest'),
      bytes('66', Buffer.from('SHA384')),
      named('timestamp'),
      bytes('1b', time),
      named('pcrs'),
      bytes(
        'b0',
        Buffer.concat(
          Array.from({ length: 16 }, (_, at) => bytes(`0${at.toString(16)}5830`, Buffer.alloc(48, at + 1))),
        ),
      ),
      named('certificate'),
      long(leaf),
      named('cabundle'),
      bytes('84', Buffer.concat(authorities.reverse().map(long))),
      named('public_key'),
      long(recipient.publicKey),
      named('user_data'),
      bytes('f6'),
      named('nonce'),
      bytes('f6'),
    ]
    for (const payload of [Buffer.concat([bytes('a9'), ...body]), Buffer.concat([bytes('bf'), ...body, bytes('ff')])]) {
      const structure = Buffer.concat([bytes('846a5369676e61747572653144a101382240'), long(payload)])
      const signature = sign('sha384', structure, { key: hierarchy.signingKey, dsaEncoding: 'ieee-p1363' })
      const found = verify(Buffer.concat([bytes('8444a1013822a0'), long(payload), bytes('5860', signature)]))
      assert.equal(found.moduleId, 'i-0123456789abcdef0-enc0123456789abcdef')
      assert.equal(found.pcrs.get(15), '10'.repeat(48))
    }
  })

  it('is for use within five minutes, and a minute before', () => {
    const bytes = document()
    verify(bytes, NOW + 300_000)
    verify(bytes, NOW - 60_000)
    refused(bytes, /^is older than 5 minutes$/, NOW + 300_001)
    refused(bytes, /^is dated in the future$/, NOW - 60_001)
  })

  it('is verified as a whole each time, though its chain is kept', () => {
    const attestations = new Attestations([hierarchy.root])
    const good = document()
    attestations.verify(good, NOW)
    attestations.verify(good, NOW)
    const fails = (bytes: Buffer, why: RegExp, now = NOW): void =>
      assert.throws(() => attestations.verify(bytes, now), why)
    fails(document({}, { signed: Buffer.from('other') }), /signature that is not valid/)
    fails(document({ timestamp: NOW + 3_600_001 }), /not valid now/, NOW + 3_600_001)
    fails(document({ timestamp: NOW - 3_600_001 }), /not valid now/, NOW - 3_600_001)
    const { cabundle } = fields() as { cabundle: Buffer[] }
    fails(document({ cabundle: cabundle.slice(0, -1) }), /did not issue/)
    attestations.verify(good, NOW)
  })
})

describe('the setting attestation.roots', () => {
  it('takes PEM files with one root or several, and says what is wrong with others', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-roots-'))
    try {
      const write = (name: string, text: string): string => {
        writeFileSync(join(folder, name), text)
        return join(folder, name)
      }
      const other = await makeHierarchy(LINKS.slice(0, 1), NOW)
      const one = write('one.pem', hierarchy.rootPem)
      assert.deepEqual(loadRoots([]), [])
      assert.deepEqual(loadRoots([one, write('both.pem', hierarchy.rootPem + other.rootPem)]), [
        hierarchy.root,
        hierarchy.root,
        other.root,
      ])
      assert.throws(
        () => loadRoots([write('none.pem', '')]),
        /attestation\.roots: .*none\.pem: holds no PEM certificate/,
      )
      assert.throws(() => loadRoots([join(folder, 'away.pem')]), /away\.pem: it cannot be read/)
      const pem = (der: Buffer): string =>
        `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`
      assert.throws(() => loadRoots([write('bad.pem', pem(Buffer.from('bad')))]), /bad\.pem: it cannot be read/)
      assert.throws(
        () => loadRoots([write('leaf.pem', pem(hierarchy.certificates.at(-1) ?? Buffer.alloc(0)))]),
        /leaf\.pem: has a certificate of an authority that may not sign certificates/,
      )
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
