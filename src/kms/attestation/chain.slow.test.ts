import { generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import {
  asMap,
  enclaveFields,
  type Hierarchy,
  LINKS,
  type Link,
  makeHierarchy,
  type Signing,
  signDocument,
  x509,
} from '../../../test/support/attestation.ts'
import { document, fields, hierarchy, NOW, recipient, refused, verify } from '../../../test/support/attested.ts'

const { keyCertSign, digitalSignature } = x509.KeyUsageFlags

describe('an attestation document', () => {
  describe('is refused where its chain', () => {
    const [root, region, zone, instance, enclave] = LINKS as readonly [Link, Link, Link, Link, Link]
    const ecKey = x509.KeyUsageFlags.keyAgreement
    const unknown = new x509.Extension('1.2.3.4.5', true, Buffer.from('0500', 'hex'))
    const cases: readonly (readonly [string, readonly Link[], RegExp])[] = [
      ['has expired at its end', [root, region, zone, instance, { ...enclave, notAfter: NOW - 1000 }], /not valid now/],
      ['has expired in between', [root, region, { ...zone, notAfter: NOW - 1000 }, instance, enclave], /not valid now/],
      [
        'has expired at its root',
        [{ ...root, notAfter: NOW - 1000 }, region, zone, instance, enclave],
        /not valid now/,
      ],
      ['is not valid yet', [root, region, zone, instance, { ...enclave, notBefore: NOW + 1000 }], /not valid now/],
      ['is longer than the root allows', [{ ...root, pathLength: 2 }, region, zone, instance, enclave], /longer than/],
      [
        'is longer than one in between allows',
        [root, { ...region, pathLength: 1 }, zone, instance, enclave],
        /longer than/,
      ],
      [
        'has an authority that is none',
        [root, region, zone, { ...instance, ca: false }, enclave],
        /authority that is none/,
      ],
      [
        'has an authority without basic constraints',
        [root, region, zone, { ...instance, noConstraints: true }, enclave],
        /authority that is none/,
      ],
      [
        'has basic constraints that are not critical',
        [root, region, zone, { ...instance, constraintsCritical: false }, enclave],
        /authority that is none/,
      ],
      [
        'has an authority that may not sign certificates',
        [root, region, zone, { ...instance, usages: digitalSignature }, enclave],
        /may not sign certificates$/,
      ],
      [
        'has a root that may not sign certificates',
        [{ ...root, usages: digitalSignature }, region, zone, instance, enclave],
        /may not sign certificates$/,
      ],
      [
        'ends with one that may not sign',
        [root, region, zone, instance, { ...enclave, usages: ecKey }],
        /may not sign$/,
      ],
      [
        'ends with an authority',
        [
          root,
          region,
          zone,
          { ...instance, pathLength: 1 },
          { ...enclave, ca: true, usages: digitalSignature | keyCertSign },
        ],
        /certificate of an authority/,
      ],
      ['has another issuer', [root, region, zone, instance, { ...enclave, issuer: 'CN=other' }], /did not issue/],
      ['has a forged certificate', [root, region, zone, instance, { ...enclave, forged: true }], /did not issue/],
      ['has a forged authority', [root, region, { ...zone, forged: true }, instance, enclave], /did not issue/],
      ['has a key of P-256', [root, region, zone, instance, { ...enclave, curve: 'P-256' }], /not one of P-384/],
      [
        'has a critical extension that is not known',
        [root, region, zone, instance, { ...enclave, extensions: [unknown] }],
        /critical extension that is not known/,
      ],
      [
        'has an extension twice',
        [
          root,
          region,
          zone,
          instance,
          { ...enclave, extensions: [new x509.KeyUsagesExtension(digitalSignature, true)] },
        ],
        /comes twice|cannot be read/,
      ],
    ]
    for (const [name, links, why] of cases) {
      it(name, async () => {
        const made = await makeHierarchy(links, NOW)
        const bytes = signDocument(made, asMap(enclaveFields(made, recipient.publicKey, NOW)), keyFor(made))
        refused(bytes, why, NOW, [made.root])
      })
    }

    /** A document that would be refused for its key anyway is signed with one that can sign ES384. */
    const keyFor = ({ signingKey }: Hierarchy): Signing =>
      signingKey.asymmetricKeyDetails?.namedCurve === 'secp384r1'
        ? {}
        : { key: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey }

    it('has a root that is not trusted, or that none is', async () => {
      const other = await makeHierarchy(LINKS, NOW)
      refused(document(), /root that this service trusts/, NOW, [other.root])
      refused(document(), /root that this service trusts/, NOW, [])
      verify(document(), NOW, [other.root, hierarchy.root])
      // The same names, and the trusted root put in front of another's authorities.
      const [, ...theirs] = other.certificates.slice(0, -1)
      const mixed = { ...enclaveFields(other, recipient.publicKey, NOW), cabundle: [hierarchy.root, ...theirs] }
      refused(signDocument(other, asMap(mixed)), /did not issue/)
    })

    it('is in another order, or has a part too few, too many or cut', () => {
      const { cabundle } = fields() as { cabundle: Buffer[] }
      const [first, second, third, fourth] = cabundle as [Buffer, Buffer, Buffer, Buffer]
      refused(document({ cabundle: [...cabundle].reverse() }), /root that this service trusts/)
      refused(document({ cabundle: [first, third, second, fourth] }), /did not issue/)
      refused(document({ cabundle: [first, second, third] }), /did not issue/)
      refused(document({ cabundle: [first, first, second, third, fourth] }), /an authority twice/)
      refused(document({ cabundle: [first, second, third.subarray(0, -1), fourth] }), /cannot be read/)
      refused(document({ cabundle: [first, second, Buffer.concat([third, Buffer.of(0)]), fourth] }), /cannot be read/)
      refused(document({ certificate: Buffer.from('no certificate') }), /cannot be read/)
    })

    it('is the root alone: it must still have issued the certificate', async () => {
      const short = await makeHierarchy([root, enclave], NOW)
      const bytes = signDocument(short, asMap(enclaveFields(short, recipient.publicKey, NOW)))
      verify(bytes, NOW, [short.root])
      refused(document({ cabundle: [hierarchy.root] }), /did not issue/)
    })
  })
})
