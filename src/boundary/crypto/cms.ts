/**
 * CMS EnvelopedData for one recipient (RFC 5652 §6): the form of AWS KMS's CiphertextForRecipient. See docs/formats/recipient.md.
 *
 * The four outer structures have BER's indefinite length, and everything inside them is DER. That is how AWS KMS writes it, and its Nitro Enclaves SDK for
 * C (`aws_cms_parse_enveloped_data`) reads nothing else: it steps over a whole structure whose length is definite.
 */
import { constants, createCipheriv, createPublicKey, hash, type KeyObject, publicEncrypt } from 'node:crypto'
import { BoundaryError } from '../words.ts'
import { publicSource, type RandomOption, secretBytes } from './random.ts'

const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const OCTET_STRING = 0x04
/** [0], of a constructed and of a primitive value. */
const CONTEXT_0 = 0xa0
const CONTEXT_0_PRIMITIVE = 0x80
/** Length octet of the indefinite form, and what ends it. */
const INDEFINITE = 0x80
const END = Buffer.of(0, 0)

/** DER of the object identifiers, and of the parameters that are always the same. */
const ENVELOPED_DATA = Buffer.from('06092a864886f70d010703', 'hex')
const DATA = Buffer.from('06092a864886f70d010701', 'hex')
const AES_256_CBC = Buffer.from('060960864801650304012a', 'hex')
/** AlgorithmIdentifier: id-RSAES-OAEP with SHA-256, MGF1 of SHA-256 and no label (RFC 4055 §4.1). */
const RSAES_OAEP_SHA_256 = Buffer.from(
  '303c06092a864886f70d010107302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500',
  'hex',
)
const VERSION_2 = Buffer.of(INTEGER, 1, 2)

const MIN_BITS = 2048
const MAX_BITS = 4096
const IV_BYTES = 16

/** SHA-256 of the recipient's DER SPKI: what the record names it by, and the subjectKeyIdentifier of the message. */
export function recipientDigestOf(spki: Buffer): Buffer {
  return hash('sha256', spki, 'buffer')
}

/**
 * Encrypts `plaintext`, which is not wiped, to the public key `spki` (DER, RSA of 2048 to 4096 bits). Throws InvalidPublicKey for any other.
 */
export function encryptForRecipient(spki: Buffer, plaintext: Buffer, options?: RandomOption): Buffer {
  const key = recipientKey(spki)
  const iv = Buffer.alloc(IV_BYTES)
  publicSource(options)(iv, 0, IV_BYTES)
  const contentKey = secretBytes(32, options)
  let encryptedKey: Buffer
  let content: Buffer
  try {
    encryptedKey = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, contentKey)
    const cipher = createCipheriv('aes-256-cbc', contentKey, iv)
    content = Buffer.concat([cipher.update(plaintext), cipher.final()])
  } finally {
    contentKey.fill(0)
  }
  const recipient = der(
    SEQUENCE,
    VERSION_2,
    der(CONTEXT_0_PRIMITIVE, recipientDigestOf(spki)),
    RSAES_OAEP_SHA_256,
    der(OCTET_STRING, encryptedKey),
  )
  const encryptedContentInfo = open(
    SEQUENCE,
    DATA,
    der(SEQUENCE, AES_256_CBC, der(OCTET_STRING, iv)),
    der(CONTEXT_0_PRIMITIVE, content),
  )
  const envelopedData = open(SEQUENCE, VERSION_2, der(SET, recipient), encryptedContentInfo)
  return open(SEQUENCE, ENVELOPED_DATA, open(CONTEXT_0, envelopedData))
}

/** Only a key whose DER is what it would be written as again: one key has one digest. */
function recipientKey(spki: Buffer): KeyObject {
  let key: KeyObject
  try {
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    throw new BoundaryError('InvalidPublicKey')
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (key.asymmetricKeyType !== 'rsa' || bits < MIN_BITS || bits > MAX_BITS) throw new BoundaryError('InvalidPublicKey')
  if (!key.export({ format: 'der', type: 'spki' }).equals(spki)) throw new BoundaryError('InvalidPublicKey')
  return key
}

/** A value with its definite length (X.690 §8.1.3, DER). */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : longHead(tag, length)
  return Buffer.concat([Buffer.from(head), ...parts])
}

/** Of what the sockets carry, nothing is longer than 65,535 bytes. */
function longHead(tag: number, length: number): number[] {
  if (length > 0xffff) throw new RangeError('too long for a recipient')
  return [tag, 0x82, length >> 8, length & 0xff]
}

/** A structure of indefinite length (X.690 §8.1.3.6, BER). */
function open(tag: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.of(tag, INDEFINITE), ...parts, END])
}
