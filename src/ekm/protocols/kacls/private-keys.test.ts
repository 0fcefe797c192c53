import assert from 'node:assert/strict'
import { constants, createHash, generateKeyPairSync, publicEncrypt, randomBytes, verify } from 'node:crypto'
import test from 'node:test'
import type { JWTPayload } from 'jose'
import { admin, authentication, is, pair, pem, setup, spki, tokens } from './testing.ts'

test('private keys sign and decrypt once, for the token that names them', async () => {
  const { post } = setup()
  const made = await post('wrapprivatekey', await admin({ private_key: pem, perimeter_id: 'legal' }))
  const wrapped_private_key = String(made.json.wrapped_private_key)
  assert.ok(made.status === 200 && wrapped_private_key.length <= 8192)
  const granted = { spki_hash: spki, spki_hash_algorithm: 'SHA-256', message_id: 'm' }
  const message = Buffer.from('signed attributes')
  const digest = createHash('sha256').update(message).digest('base64')
  const sign = async (more: object = {}, claims: JWTPayload = granted, role = 'signer') =>
    post(
      'privatekeysign',
      await tokens(role, { algorithm: 'SHA256withRSA', digest, wrapped_private_key, ...more }, claims),
    )
  const signature = async (more: object) => Buffer.from(String((await sign(more)).json.signature), 'base64')
  assert.ok(verify('sha256', message, pair.publicKey, await signature({})))
  const pss = { key: pair.publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
  for (const algorithm of ['RSASSA-PSS', 'SHA256withRSA/PSS'])
    assert.ok(verify('sha256', message, pss, await signature({ algorithm, rsa_pss_salt_length: 32 })))
  is(await sign({ algorithm: 'RSASSA-PSS', rsa_pss_salt_length: 20 }), 'InvalidRequest')
  is(await sign({ algorithm: 'SHA512withRSA' }), 'InvalidRequest')
  is(await sign({ algorithm: 'MD5withRSA' }), 'InvalidRequest')
  is(await sign({ algorithm: 'constructor' }), 'InvalidRequest')
  is(await sign({}, { ...granted, spki_hash: createHash('sha256').digest('base64') }), 'Forbidden')
  is(await sign({}, { ...granted, spki_hash_algorithm: 'MD5' }), 'Forbidden')
  is(await sign({}, { ...granted, perimeter_id: 'sales' }), 'Forbidden')
  is(await sign({}, granted, 'decrypter'), 'Forbidden')
  const bytes = randomBytes(32)
  const label = Buffer.from('label')
  const by = { key: pair.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING }
  const encrypted = {
    'RSA/ECB/PKCS1Padding': publicEncrypt({ key: pair.publicKey, padding: constants.RSA_PKCS1_PADDING }, bytes),
    'RSA/ECB/OAEPwithSHA-1andMGF1Padding': publicEncrypt({ ...by, oaepHash: 'sha1' }, bytes),
    'RSA/ECB/OAEPwithSHA-256andMGF1Padding': publicEncrypt({ ...by, oaepHash: 'sha256' }, bytes),
    'RSA/ECB/OAEPwithSHA-512andMGF1Padding': publicEncrypt({ ...by, oaepHash: 'sha512' }, bytes),
  }
  const decrypt = async (algorithm: string, value: Buffer, more: object = {}) =>
    post(
      'privatekeydecrypt',
      await tokens(
        'decrypter',
        { algorithm, encrypted_data_encryption_key: value.toString('base64'), wrapped_private_key, ...more },
        granted,
      ),
    )
  for (const [algorithm, value] of Object.entries(encrypted))
    assert.deepEqual(
      (await decrypt(algorithm, value)).json,
      { data_encryption_key: bytes.toString('base64') },
      algorithm,
    )
  const labelled = publicEncrypt({ ...by, oaepHash: 'sha256', oaepLabel: label }, bytes)
  const algorithm = 'RSA/ECB/OAEPwithSHA-256andMGF1Padding'
  const withLabel = { rsa_oaep_label: label.toString('base64') }
  assert.deepEqual((await decrypt(algorithm, labelled, withLabel)).json, {
    data_encryption_key: bytes.toString('base64'),
  })
  is(await decrypt(algorithm, labelled), 'InvalidRequest')
  is(await decrypt(algorithm, randomBytes(256)), 'InvalidRequest')
  assert.equal((await decrypt('RSA/ECB/PKCS1Padding', publicEncrypt({ ...by, oaepHash: 'sha1' }, bytes))).status, 200)
  const privileged = async (more: object = {}) =>
    post(
      'privilegedprivatekeydecrypt',
      await admin({
        algorithm,
        encrypted_data_encryption_key: encrypted[algorithm].toString('base64'),
        wrapped_private_key,
        spki_hash: spki,
        spki_hash_algorithm: 'SHA-256',
        ...more,
      }),
    )
  assert.deepEqual((await privileged()).json, { data_encryption_key: bytes.toString('base64') })
  is(await privileged({ spki_hash: digest }), 'Forbidden')
  is(await privileged({ authentication: await authentication() }), 'Forbidden')
})

test('private keys are taken as PEM, also with its lines in letters, and as Base64 of DER', async () => {
  const { post } = setup()
  const take = async (private_key: unknown) => post('wrapprivatekey', await admin({ private_key, perimeter_id: '' }))
  const pkcs1 = pair.privateKey.export({ format: 'pem', type: 'pkcs1' }).toString()
  const der = (type: 'pkcs8' | 'pkcs1') => pair.privateKey.export({ format: 'der', type }).toString('base64')
  for (const key of [pem, pkcs1, pkcs1.replaceAll('\n', '\\n'), der('pkcs8'), der('pkcs1')])
    assert.equal((await take(key)).status, 200)
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'pem', type: 'pkcs8' })
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' })
  for (const key of [small, curve, '-----BEGIN ', 'AAAA', '', 7, undefined]) is(await take(key), 'InvalidRequest')
})
