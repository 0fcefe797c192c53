import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, it } from 'node:test'
import {
  type Cbor,
  CborPairs,
  type Fields,
  PCRS,
  raw,
  registers,
  type Signing,
  signDocument,
} from '../../../test/support/attestation.ts'
import { document, fields, hierarchy, NOW, refused } from '../../../test/support/attested.ts'

describe('an attestation document', () => {
  describe('is refused where a field is', () => {
    const certificate = Buffer.alloc(1025, 1)
    const cases: readonly (readonly [string, Fields, RegExp])[] = [
      ...['module_id', 'digest', 'timestamp', 'certificate', 'cabundle'].flatMap(
        name =>
          [
            [`missing: ${name}`, { [name]: undefined }, new RegExp(`^must have a ${name} `)],
            [`null: ${name}`, { [name]: null }, new RegExp(`^must have a ${name} `)],
            [`a map: ${name}`, { [name]: new CborPairs([]) }, new RegExp(`^must have a ${name} `)],
          ] as const,
      ),
      ['missing: pcrs', { pcrs: undefined }, /one of pcrs and nitrotpm_pcrs/],
      ['there twice over: pcrs', { nitrotpm_pcrs: PCRS }, /one of pcrs and nitrotpm_pcrs/],
      ['missing: public_key', { public_key: undefined }, /^has no public_key$/],
      ['null: public_key', { public_key: null }, /^has no public_key$/],
      ['not known', { role: 'x' }, /field that is not known/],
      ['empty: module_id', { module_id: '' }, /module_id/],
      ['too long: module_id', { module_id: 'm'.repeat(257) }, /module_id/],
      ['bytes: module_id', { module_id: Buffer.from('m') }, /module_id/],
      ['another: digest', { digest: 'SHA256' }, /digest/],
      ['zero: timestamp', { timestamp: 0 }, /timestamp/],
      ['negative: timestamp', { timestamp: -1 }, /timestamp/],
      ['text: timestamp', { timestamp: String(NOW) }, /timestamp/],
      ['null: pcrs', { pcrs: null }, /pcrs/],
      ['a list: pcrs', { pcrs: [Buffer.alloc(48)] }, /pcrs/],
      ['empty: pcrs', { pcrs: new CborPairs([]) }, /pcrs/],
      ['too large: index of pcrs', { pcrs: registers({ 32: Buffer.alloc(48) }) }, /pcrs/],
      ['negative: index of pcrs', { pcrs: new CborPairs([[-1, Buffer.alloc(48)]]) }, /pcrs/],
      ['text: index of pcrs', { pcrs: new CborPairs([['0', Buffer.alloc(48)]]) }, /pcrs/],
      ['too short: register', { pcrs: registers({ 0: Buffer.alloc(47) }) }, /pcrs/],
      ['too long: register', { pcrs: registers({ 0: Buffer.alloc(65) }) }, /pcrs/],
      ['text: register', { pcrs: new CborPairs([[0, '0'.repeat(48)]]) }, /pcrs/],
      [
        'there twice: register',
        {
          pcrs: new CborPairs([
            [0, Buffer.alloc(48)],
            [0, Buffer.alloc(48)],
          ]),
        },
        /comes twice/,
      ],
      ['empty: certificate', { certificate: Buffer.alloc(0) }, /certificate/],
      ['too long: certificate', { certificate }, /certificate/],
      ['empty: cabundle', { cabundle: [] }, /cabundle/],
      ['too long: cabundle', { cabundle: Array.from({ length: 9 }, () => Buffer.alloc(1)) }, /cabundle/],
      ['empty: one of cabundle', { cabundle: [Buffer.alloc(0)] }, /cabundle/],
      ['too long: one of cabundle', { cabundle: [certificate] }, /cabundle/],
      ['text: one of cabundle', { cabundle: ['certificate'] }, /cabundle/],
      ['empty: public_key', { public_key: Buffer.alloc(0) }, /public_key/],
      ['too long: public_key', { public_key: Buffer.alloc(1025) }, /public_key/],
      ['text: public_key', { public_key: 'key' }, /public_key/],
      ['no key: public_key', { public_key: Buffer.from('dummy') }, /not an RSA key/],
      ['too long: user_data', { user_data: Buffer.alloc(1025) }, /user_data/],
      ['text: user_data', { user_data: 'text' }, /user_data/],
      ['too long: nonce', { nonce: Buffer.alloc(1025) }, /nonce/],
      ['a number: nonce', { nonce: 1 }, /nonce/],
      ['true', { nonce: true }, /not well-formed CBOR/],
      ['undefined', { nonce: raw('f7') }, /not well-formed CBOR/],
      ['in pieces', { nonce: raw('5f4100ff') }, /not well-formed CBOR/],
      ['nested', { nonce: [[[[[1]]]]] }, /too deep/],
    ]
    for (const [name, change, why] of cases) it(name, () => refused(document(change), why))

    it('there twice', () => {
      const pairs = Object.entries(fields())
      refused(signDocument(hierarchy, new CborPairs([...pairs, ['nonce', Buffer.of(1)]])), /comes twice/)
    })

    it('a key that no recipient may have', () => {
      const spki = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })
      for (const key of [
        generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey,
        generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey,
        generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey,
      ])
        refused(document({ public_key: spki(key) }), /not an RSA key of 2048 to 4096 bits/)
    })
  })

  describe('is refused where its COSE structure', () => {
    const cases: readonly (readonly [string, Signing, RegExp])[] = [
      ['names ES256', { header: new CborPairs([[1, -7]]) }, /ES384/],
      ['names ES512', { header: new CborPairs([[1, -36]]) }, /ES384/],
      ['names nothing', { header: new CborPairs([]) }, /ES384/],
      [
        'names more',
        {
          header: new CborPairs([
            [1, -35],
            [4, Buffer.of(1)],
          ]),
        },
        /ES384/,
      ],
      ['has a header that is no map', { header: [1, -35] }, /ES384/],
      ['has an empty header', { header: raw('') }, /not well-formed CBOR: cut short/],
      ['has unprotected headers', { unprotected: new CborPairs([[1, -35]]) }, /unprotected/],
      ['has no unprotected map', { unprotected: [] }, /no COSE headers/],
      ['has five parts', { more: [1] }, /not a COSE_Sign1/],
      ['has a short signature', { signature: Buffer.alloc(95, 1) }, /no signature of 96 bytes/],
      ['has a long signature', { signature: Buffer.alloc(97, 1) }, /no signature of 96 bytes/],
      ['has a signature of zeros', { signature: Buffer.alloc(96) }, /signature that is not valid/],
      ['is signed over something else', { signed: Buffer.from('other') }, /signature that is not valid/],
    ]
    for (const [name, signing, why] of cases) it(name, () => refused(document({}, signing), why))

    it('is signed with another key', () => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
      refused(document({}, { key: privateKey }), /signature that is not valid/)
    })

    it('has a payload that is empty or too long', () => {
      const long: Cbor = raw('00'.repeat(16_385))
      refused(signDocument(hierarchy, raw('')), /no payload/)
      refused(signDocument(hierarchy, long), /no payload/)
      refused(signDocument(hierarchy, [1]), /not a map of fields/)
    })

    it('has a DER signature, bytes behind it, another tag or no structure at all', () => {
      const good = document()
      refused(Buffer.concat([good, Buffer.of(0)]), /bytes behind the end/)
      refused(Buffer.concat([Buffer.of(0xd1), good]), /another tag/)
      refused(Buffer.from('f6', 'hex'), /not a COSE_Sign1/)
      refused(Buffer.alloc(0), /cut short/)
      refused(Buffer.alloc(262_144, 0x81), /too deep/)
    })
  })
})
