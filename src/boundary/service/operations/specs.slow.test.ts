/** Every key spec, usage, algorithm and message type, generated from the table: each works with its own key, and is refused by every other. */
import assert from 'node:assert/strict'
import {
  createHash,
  createPublicKey,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  publicEncrypt,
  verify as verifyHere,
} from 'node:crypto'
import { after, before, test } from 'node:test'
import {
  type EncryptionAlgorithm,
  hasAlgorithm,
  isAsymmetric,
  MAC_ALGORITHMS,
  type MacAlgorithm,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
  SPECS,
} from '../../algorithms.ts'
import type { KeyRow, ToSign } from '../../client/api.ts'
import { KEY_SPECS, KEY_USAGES, type KeySpec, type KeyUsage } from '../../words.ts'
import { fails, headerOfRow, type InProcess, inProcess, newKey } from '../testing/in-process.ts'

let made: InProcess
const keys = new Map<string, KeyRow>()
const specs = (Object.keys(KEY_SPECS) as KeySpec[]).filter(spec => spec !== 'EXTERNAL_AES_256')
const pairs = specs.flatMap(spec => (Object.keys(SPECS[spec].usages) as KeyUsage[]).map(usage => ({ spec, usage })))
const A = { operation: 'Test' }
const nothing = Buffer.alloc(0)

const keyOf = (spec: KeySpec, usage: KeyUsage): KeyRow => keys.get(`${spec} ${usage}`) as KeyRow
const publicKeyOf = (row: KeyRow) => createPublicKey({ key: headerOfRow(row).publicKey, format: 'der', type: 'spki' })
const hashOf = (algorithm: SigningAlgorithm): string => `sha${algorithm.slice(-3)}`

before(async () => {
  made = await inProcess()
  await Promise.all(
    pairs.map(async ({ spec, usage }) => keys.set(`${spec} ${usage}`, await newKey(made.use, { spec, usage }))),
  )
})
after(async () => {
  await made.stop()
  made.remove()
})

/** What each algorithm signs: the message, and the same as what stands for it. */
function inputs(algorithm: SigningAlgorithm, message: Buffer): ToSign[] {
  const raw: ToSign = { algorithm, messageType: 'RAW', message }
  if (algorithm === 'ML_DSA_SHAKE_256') return [raw]
  if (algorithm === 'ED25519_SHA_512') return [raw]
  const digest: ToSign = {
    algorithm,
    messageType: 'DIGEST',
    message: createHash(hashOf(algorithm)).update(message).digest(),
  }
  return algorithm === 'ED25519_PH_SHA_512' ? [digest] : [raw, digest]
}

/** mu of FIPS 204 with an empty context (algorithm 2, step 10, and algorithm 7, step 6). */
function mu(row: KeyRow, message: Buffer): Buffer {
  const spki = headerOfRow(row).publicKey
  const publicKey = spki.subarray(
    -{ ML_DSA_44: 1312, ML_DSA_65: 1952, ML_DSA_87: 2592 }[headerOfRow(row).spec as 'ML_DSA_44'],
  )
  const tr = createHash('shake256', { outputLength: 64 }).update(publicKey).digest()
  return createHash('shake256', { outputLength: 64 })
    .update(tr)
    .update(Buffer.from([0, 0]))
    .update(message)
    .digest()
}

test('each key has the spec, usage and public key that were asked for', () => {
  assert.equal(pairs.length, 25)
  for (const { spec, usage } of pairs) {
    const header = headerOfRow(keyOf(spec, usage))
    assert.equal(header.spec, spec)
    assert.equal(header.usage, usage)
    assert.equal(header.publicKey.length > 0, isAsymmetric(spec), spec)
    if (!isAsymmetric(spec)) continue
    const key = publicKeyOf(keyOf(spec, usage))
    const { material } = SPECS[spec]
    if (material.kind === 'rsa') {
      assert.equal(key.asymmetricKeyDetails?.modulusLength, material.modulusBits)
      assert.equal(key.asymmetricKeyDetails?.publicExponent, 65537n)
    } else if (material.kind === 'ec') {
      assert.equal(key.asymmetricKeyDetails?.namedCurve, material.curve)
    } else {
      assert.equal(key.asymmetricKeyType, material.kind)
    }
  }
})

for (const { spec, usage } of pairs.filter(pair => pair.usage === 'SIGN_VERIFY')) {
  for (const algorithm of SPECS[spec].usages.SIGN_VERIFY as readonly SigningAlgorithm[]) {
    test(`${spec} signs and verifies with ${algorithm}, messages and what stands for them`, async () => {
      const row = keyOf(spec, usage)
      const message = Buffer.from(`to be signed by ${spec}`)
      const forms = inputs(algorithm, message)
      if (algorithm === 'ML_DSA_SHAKE_256')
        forms.push({ algorithm, messageType: 'EXTERNAL_MU', message: mu(row, message) })
      for (const form of forms) {
        const { signature } = await made.use.sign(row, form, A)
        for (const other of forms) await made.use.verify(row, other, signature, false, A)
        await assert.rejects(made.use.verify(row, form, signature, true, A), fails('DryRun'))
        for (const at of [0, signature.length >> 1, signature.length - 1]) {
          const wrong = Buffer.from(signature)
          wrong[at] = (wrong[at] as number) ^ 1
          await assert.rejects(made.use.verify(row, form, wrong, false, A), fails('InvalidSignature'))
          await assert.rejects(made.use.verify(row, form, wrong, true, A), fails('InvalidSignature'))
        }
        const other = Buffer.from(form.message)
        other[0] = (other[0] as number) ^ 1
        await assert.rejects(
          made.use.verify(row, { ...form, message: other }, signature, false, A),
          fails('InvalidSignature'),
        )
        for (const none of [
          nothing,
          signature.subarray(1),
          Buffer.concat([signature, Buffer.alloc(1)]),
          Buffer.alloc(6144),
        ]) {
          await assert.rejects(made.use.verify(row, form, none, false, A), fails('InvalidSignature'))
        }
        if (algorithm !== 'ED25519_PH_SHA_512') {
          const options = algorithm.includes('PSS') ? { padding: 6, saltLength: -1 } : {}
          const hash = algorithm.startsWith('RSA') || algorithm.startsWith('ECDSA') ? hashOf(algorithm) : null
          assert.ok(verifyHere(hash, message, { key: publicKeyOf(row), ...options }, signature))
        }
      }
    })
  }

  test(`${spec} signs nothing with the algorithm of another key, and no message of a wrong length`, async () => {
    const row = keyOf(spec, usage)
    for (const algorithm of Object.keys(SIGNING_ALGORITHMS) as SigningAlgorithm[]) {
      const form: ToSign = inputs(algorithm, Buffer.from('m'))[0] as ToSign
      if (!hasAlgorithm(spec, usage, algorithm)) {
        await assert.rejects(made.use.sign(row, form, A), fails('InvalidKeyUsage'))
        await assert.rejects(made.use.verify(row, form, Buffer.alloc(64), false, A), fails('InvalidKeyUsage'))
        continue
      }
      const long = { algorithm, messageType: 'RAW', message: Buffer.alloc(4097) } as const
      await assert.rejects(made.use.sign(row, long, A), fails('InvalidRequest'))
      for (const messageType of ['DIGEST', 'EXTERNAL_MU'] as const) {
        for (const bytes of [0, 20, 31, 33, 63, 65, 128]) {
          const message = Buffer.alloc(bytes)
          await assert.rejects(made.use.sign(row, { algorithm, messageType, message }, A), fails('InvalidRequest'))
        }
      }
    }
  })
}

test('a signature of one key is no signature of another', async () => {
  const [one, other] = [
    keyOf('ECC_NIST_P256', 'SIGN_VERIFY'),
    await newKey(made.use, { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' }),
  ]
  const input: ToSign = { algorithm: 'ECDSA_SHA_256', messageType: 'DIGEST', message: Buffer.alloc(32, 7) }
  const { signature } = await made.use.sign(one, input, A)
  await assert.rejects(made.use.verify(other, input, signature, false, A), fails('InvalidSignature'))
})

for (const { spec, usage } of pairs.filter(pair => pair.usage === 'GENERATE_VERIFY_MAC')) {
  test(`${spec} makes and verifies MACs, whole ones only`, async () => {
    const row = keyOf(spec, usage)
    const message = Buffer.from('to be authenticated')
    for (const algorithm of Object.keys(MAC_ALGORITHMS) as MacAlgorithm[]) {
      if (!hasAlgorithm(spec, usage, algorithm)) {
        await assert.rejects(made.use.generateMac(row, algorithm, message, A), fails('InvalidKeyUsage'))
        continue
      }
      const { mac } = await made.use.generateMac(row, algorithm, message, A)
      assert.equal(mac.length * 8, Number(algorithm.slice(-3)))
      await made.use.verifyMac(row, algorithm, message, mac, false, A)
      await assert.rejects(made.use.verifyMac(row, algorithm, message, mac, true, A), fails('DryRun'))
      const flipped = Buffer.from(mac)
      flipped[mac.length - 1] = (flipped[mac.length - 1] as number) ^ 1
      for (const wrong of [flipped, mac.subarray(0, 16), nothing, Buffer.concat([mac, mac])]) {
        await assert.rejects(made.use.verifyMac(row, algorithm, message, wrong, false, A), fails('InvalidMac'))
      }
      for (const bytes of [0, 4097]) {
        await assert.rejects(made.use.generateMac(row, algorithm, Buffer.alloc(bytes), A), fails('InvalidRequest'))
      }
    }
  })
}

for (const { spec, usage } of pairs.filter(pair => pair.usage === 'KEY_AGREEMENT')) {
  test(`${spec} agrees on a secret with a key of the same curve, and with nothing else`, async () => {
    const row = keyOf(spec, usage)
    const { material } = SPECS[spec]
    assert.ok(material.kind === 'ec')
    const peer = generateKeyPairSync('ec', { namedCurve: material.curve })
    const spki = peer.publicKey.export({ format: 'der', type: 'spki' })
    const { sharedSecret } = await made.use.deriveSharedSecret(row, spki, A)
    assert.deepEqual(sharedSecret, diffieHellman({ privateKey: peer.privateKey, publicKey: publicKeyOf(row) }))
    assert.equal(sharedSecret.length, { prime256v1: 32, secp384r1: 48, secp521r1: 66, secp256k1: 0 }[material.curve])
    const offCurve = Buffer.from(spki)
    offCurve[spki.length - 1] = (offCurve[spki.length - 1] as number) ^ 1
    const others = pairs
      .filter(pair => isAsymmetric(pair.spec) && pair.spec !== spec)
      .map(pair => headerOfRow(keyOf(pair.spec, pair.usage)).publicKey)
    for (const wrong of [nothing, spki.subarray(1), Buffer.concat([spki, Buffer.from([0])]), offCurve, ...others]) {
      await assert.rejects(made.use.deriveSharedSecret(row, wrong, A), fails('InvalidPublicKey'))
    }
  })
}

for (const { spec, usage } of pairs.filter(pair => pair.usage === 'ENCAPSULATE_DECAPSULATE')) {
  test(`${spec} encapsulates and decapsulates, and rejects without saying so`, async () => {
    const row = keyOf(spec, usage)
    const { sharedSecret, ciphertext } = await made.use.encapsulate(row, A)
    assert.equal(sharedSecret.length, 32)
    assert.deepEqual((await made.use.decapsulate(row, ciphertext, A)).sharedSecret, sharedSecret)
    const outside = encapsulate(publicKeyOf(row))
    assert.deepEqual((await made.use.decapsulate(row, outside.ciphertext, A)).sharedSecret, outside.sharedKey)
    const wrong = Buffer.from(ciphertext)
    wrong[5] = (wrong[5] as number) ^ 1
    const rejected = (await made.use.decapsulate(row, wrong, A)).sharedSecret
    assert.equal(rejected.length, 32)
    assert.notDeepEqual(rejected, sharedSecret)
    for (const bytes of [nothing, ciphertext.subarray(1), Buffer.concat([ciphertext, nothing, Buffer.alloc(1)])]) {
      await assert.rejects(made.use.decapsulate(row, bytes, A), fails('InvalidCiphertext'))
    }
  })
}

const OAEP = { RSAES_OAEP_SHA_1: 'sha1', RSAES_OAEP_SHA_256: 'sha256' } as const
for (const { spec, usage } of pairs.filter(pair => pair.usage === 'ENCRYPT_DECRYPT' && isAsymmetric(pair.spec))) {
  test(`${spec} encrypts and decrypts up to its limit, and opens nothing that was changed`, async () => {
    const row = keyOf(spec, usage)
    const publicKey = publicKeyOf(row)
    const modulus = Number(spec.slice(4)) / 8
    for (const algorithm of Object.keys(OAEP) as (keyof typeof OAEP)[]) {
      const limit = modulus - 2 * (algorithm === 'RSAES_OAEP_SHA_1' ? 20 : 32) - 2
      const plaintext = Buffer.alloc(limit, 3)
      const { ciphertext } = await made.use.asymmetricEncrypt(row, algorithm, Buffer.from(plaintext), A)
      assert.equal(ciphertext.length, modulus)
      assert.deepEqual((await made.use.asymmetricDecrypt(row, algorithm, ciphertext, A)).plaintext, plaintext)
      const outside = publicEncrypt({ key: publicKey, padding: 4, oaepHash: OAEP[algorithm] }, plaintext)
      assert.deepEqual((await made.use.asymmetricDecrypt(row, algorithm, outside, A)).plaintext, plaintext)
      for (const bytes of [0, limit + 1]) {
        await assert.rejects(
          made.use.asymmetricEncrypt(row, algorithm, Buffer.alloc(bytes), A),
          fails('InvalidRequest'),
        )
      }
      const other = algorithm === 'RSAES_OAEP_SHA_1' ? 'RSAES_OAEP_SHA_256' : 'RSAES_OAEP_SHA_1'
      await assert.rejects(made.use.asymmetricDecrypt(row, other, ciphertext, A), fails('InvalidCiphertext'))
      for (const wrong of [
        nothing,
        ciphertext.subarray(1),
        Buffer.concat([Buffer.alloc(1), ciphertext]),
        Buffer.alloc(modulus, 255),
      ]) {
        await assert.rejects(made.use.asymmetricDecrypt(row, algorithm, wrong, A), fails('InvalidCiphertext'))
      }
    }
    await assert.rejects(
      made.use.asymmetricEncrypt(row, 'SYMMETRIC_DEFAULT', Buffer.alloc(1), A),
      fails('InvalidKeyUsage'),
    )
  })
}

test('every use refuses the keys that are not for it', async () => {
  const message = Buffer.from('m')
  for (const { spec, usage } of pairs) {
    const row = keyOf(spec, usage)
    const refused = async (use: KeyUsage, promise: () => Promise<unknown>) => {
      if (usage !== use) await assert.rejects(promise(), fails('InvalidKeyUsage'), `${spec} ${usage} ${use}`)
    }
    await refused('SIGN_VERIFY', () =>
      made.use.sign(row, { algorithm: 'RSASSA_PSS_SHA_256', messageType: 'RAW', message }, A),
    )
    await refused('GENERATE_VERIFY_MAC', () => made.use.generateMac(row, 'HMAC_SHA_256', message, A))
    await refused('KEY_AGREEMENT', () => made.use.deriveSharedSecret(row, message, A))
    await refused('ENCAPSULATE_DECAPSULATE', () => made.use.encapsulate(row, A))
    await refused('ENCAPSULATE_DECAPSULATE', () => made.use.decapsulate(row, message, A))
    await refused('ENCRYPT_DECRYPT', () => made.use.asymmetricEncrypt(row, 'RSAES_OAEP_SHA_256', Buffer.alloc(1), A))
    await refused('ENCRYPT_DECRYPT', () => made.use.asymmetricDecrypt(row, 'RSAES_OAEP_SHA_256', message, A))
    if (spec !== 'SYMMETRIC_DEFAULT') {
      const wrong = fails('InvalidKeyUsage')
      await assert.rejects(made.use.encrypt(row, Buffer.from('m'), [], A), wrong)
      await assert.rejects(made.use.decrypt(row, message, [], A), wrong)
      await assert.rejects(made.use.generateDataKey(row, 32, true, [], A), wrong)
      await assert.rejects(made.use.generateDataKeyPair(row, 'RSA_2048', true, [], A), wrong)
    }
  }
})

test('a disabled key of any spec does nothing', async () => {
  const uses: Partial<Record<KeyUsage, (row: KeyRow, algorithm: string) => Promise<unknown>>> = {
    SIGN_VERIFY: (row, algorithm) =>
      made.use.sign(row, inputs(algorithm as SigningAlgorithm, Buffer.from('m'))[0] as ToSign, A),
    GENERATE_VERIFY_MAC: (row, algorithm) => made.use.generateMac(row, algorithm as MacAlgorithm, Buffer.from('m'), A),
    KEY_AGREEMENT: row => made.use.deriveSharedSecret(row, headerOfRow(row).publicKey, A),
    ENCAPSULATE_DECAPSULATE: row => made.use.encapsulate(row, A),
    ENCRYPT_DECRYPT: (row, algorithm) =>
      algorithm === 'SYMMETRIC_DEFAULT'
        ? made.use.encrypt(row, Buffer.from('m'), [], A)
        : made.use.asymmetricEncrypt(row, algorithm as EncryptionAlgorithm, Buffer.from('m'), A),
  }
  for (const { spec, usage } of pairs) {
    const row = keyOf(spec, usage)
    const algorithm = SPECS[spec].usages[usage]?.[0] as string
    const disabled = await made.use.disableKey(row.id, A)
    await assert.rejects(uses[usage]?.(disabled, algorithm) as Promise<unknown>, fails('KeyDisabled'))
    const enabled = await made.use.enableKey(row.id, A)
    await assert.rejects(uses[usage]?.(row, algorithm) as Promise<unknown>, fails('StaleKey'))
    keys.set(`${spec} ${usage}`, enabled)
    await uses[usage]?.(enabled, algorithm)
  }
})

for (const spec of specs.filter(spec => SPECS[spec].pair)) {
  test(`a data key pair of ${spec}: the private half opens as a message, and belongs to the public one`, async () => {
    const row = keyOf('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
    const context = [['purpose', 'pairs']] as const
    const pair = await made.use.generateDataKeyPair(row, spec, true, context, A)
    const { plaintext } = await made.use.decrypt(row, pair.ciphertext, context, A)
    assert.deepEqual(plaintext, pair.plaintext)
    const derived = createPublicKey({ key: plaintext, format: 'der', type: 'pkcs8' } as never)
    assert.deepEqual(derived.export({ format: 'der', type: 'spki' }), pair.publicKey)
    const quiet = await made.use.generateDataKeyPair(row, spec, false, context, A)
    assert.equal(quiet.plaintext, undefined)
    assert.notDeepEqual(quiet.publicKey, pair.publicKey)
    await assert.rejects(made.use.decrypt(row, pair.ciphertext, [], A), fails('InvalidCiphertext'))
  })
}

test('no data key pair of a spec that is none', async () => {
  const row = keyOf('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
  for (const spec of (Object.keys(KEY_SPECS) as KeySpec[]).filter(spec => !SPECS[spec].pair)) {
    await assert.rejects(made.use.generateDataKeyPair(row, spec, true, [], A), fails('InvalidRequest'))
  }
})

test('re-encryption between symmetric and RSA keys, in every direction', async () => {
  const sides = [
    { key: keyOf('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT'), algorithm: 'SYMMETRIC_DEFAULT', context: [['a', 'b']] },
    { key: keyOf('RSA_2048', 'ENCRYPT_DECRYPT'), algorithm: 'RSAES_OAEP_SHA_256', context: [] },
    { key: keyOf('RSA_3072', 'ENCRYPT_DECRYPT'), algorithm: 'RSAES_OAEP_SHA_1', context: [] },
  ] as const
  const encryptTo = async (side: (typeof sides)[number], plaintext: Buffer) =>
    side.algorithm === 'SYMMETRIC_DEFAULT'
      ? (await made.use.encrypt(side.key, plaintext, side.context, A)).ciphertext
      : (await made.use.asymmetricEncrypt(side.key, side.algorithm, plaintext, A)).ciphertext
  const decryptWith = async (side: (typeof sides)[number], ciphertext: Buffer) =>
    side.algorithm === 'SYMMETRIC_DEFAULT'
      ? (await made.use.decrypt(side.key, ciphertext, side.context, A)).plaintext
      : (await made.use.asymmetricDecrypt(side.key, side.algorithm, ciphertext, A)).plaintext
  for (const source of sides) {
    for (const destination of sides) {
      const ciphertext = await encryptTo(source, Buffer.from('moved'))
      const moved = await made.use.reEncrypt(source, ciphertext, destination, A)
      assert.equal(moved.materialId === '', destination.algorithm !== 'SYMMETRIC_DEFAULT')
      assert.equal(moved.sourceMaterialId === '', source.algorithm !== 'SYMMETRIC_DEFAULT')
      assert.deepEqual(await decryptWith(destination, moved.ciphertext), Buffer.from('moved'))
    }
  }
  const [symmetric, rsa] = sides
  const long = await encryptTo(symmetric, Buffer.alloc(191))
  await assert.rejects(made.use.reEncrypt(symmetric, long, rsa, A), fails('InvalidRequest'))
  const short = await encryptTo(rsa, Buffer.from('m'))
  await assert.rejects(
    made.use.reEncrypt({ ...rsa, context: [['a', 'b']] }, short, symmetric, A),
    fails('InvalidRequest'),
  )
  await assert.rejects(made.use.reEncrypt(symmetric, short, rsa, A), fails('InvalidCiphertext'))
  await assert.rejects(
    made.use.reEncrypt({ ...rsa, algorithm: 'SYMMETRIC_DEFAULT' }, short, symmetric, A),
    fails('InvalidKeyUsage'),
  )
})

test('no key is made of a spec and a usage, or an origin, that do not go together', async () => {
  for (const spec of Object.keys(KEY_SPECS) as KeySpec[]) {
    for (const usage of Object.keys(KEY_USAGES) as KeyUsage[]) {
      if (spec !== 'EXTERNAL_AES_256' && SPECS[spec].usages[usage] !== undefined) continue
      await assert.rejects(newKey(made.use, { spec, usage }), fails('InvalidRequest'), `${spec} ${usage}`)
    }
    if (spec === 'SYMMETRIC_DEFAULT') continue
    const usage = Object.keys(SPECS[spec].usages)[0]
    const store = { keyStoreId: '111122223333/eu-north-1/cks-1', xksKeyId: 'x' }
    await assert.rejects(
      newKey(made.use, { spec, usage, origin: 'EXTERNAL_KEY_STORE', ...store }),
      fails('InvalidRequest'),
    )
    await assert.rejects(newKey(made.use, { spec, usage, origin: 'AWS_CLOUDHSM' }), fails('InvalidRequest'))
    await assert.rejects(
      newKey(made.use, { spec, usage, manager: 'AWS', managerService: 's3' }),
      fails('InvalidRequest'),
    )
    if (!SPECS[spec].importable) {
      await assert.rejects(newKey(made.use, { spec, usage, origin: 'EXTERNAL' }), fails('InvalidRequest'))
    }
  }
})

test('only symmetric keys rotate', async () => {
  for (const { spec, usage } of pairs) {
    if (spec === 'SYMMETRIC_DEFAULT') continue
    const { id } = keyOf(spec, usage)
    await assert.rejects(made.use.rotateKeyOnDemand(id, A), fails('InvalidState'))
    await assert.rejects(made.use.setKeyRotation(id, true, 365, A), fails('InvalidState'))
  }
})

test('what was signed, encrypted and encapsulated before a restart is verified and opened after it', async () => {
  const signing = keyOf('ML_DSA_65', 'SIGN_VERIFY')
  const input: ToSign = { algorithm: 'ML_DSA_SHAKE_256', messageType: 'RAW', message: Buffer.from('kept') }
  const { signature } = await made.use.sign(signing, input, A)
  const rsa = keyOf('RSA_2048', 'ENCRYPT_DECRYPT')
  const { ciphertext } = await made.use.asymmetricEncrypt(rsa, 'RSAES_OAEP_SHA_1', Buffer.from('kept'), A)
  const kem = keyOf('ML_KEM_768', 'ENCAPSULATE_DECAPSULATE')
  const { sharedSecret, ciphertext: encapsulated } = await made.use.encapsulate(kem, A)
  await made.stop()
  made = await inProcess({ folder: made.folder })
  await made.use.verify(signing, input, signature, false, A)
  assert.equal(String((await made.use.asymmetricDecrypt(rsa, 'RSAES_OAEP_SHA_1', ciphertext, A)).plaintext), 'kept')
  assert.deepEqual((await made.use.decapsulate(kem, encapsulated, A)).sharedSecret, sharedSecret)
})

test('a key that is disabled while slow work waits gives no result any more', async () => {
  const row = await newKey(made.use, {})
  const pairs = [1, 2, 3, 4, 5].map(() => made.use.generateDataKeyPair(row, 'RSA_4096', true, [], A))
  const ends = Promise.allSettled(pairs)
  await made.use.disableKey(row.id, A)
  const last = (await ends)[4] as PromiseSettledResult<unknown>
  assert.ok(last.status === 'rejected' && fails('StaleKey')(last.reason))
})
