/**
 * Quotas of the KMS, with AWS's numbers as defaults (aws-kms.md §11): how much an account may have, and how fast it may ask. Data: the operations that
 * share a rate stand in src/kms/wire/request-quotas.ts.
 */
import { z } from 'zod'

const count = (most: number, byDefault: number) => z.int().min(1).max(most).default(byDefault)
const rate = (byDefault: number) => z.number().min(0.001).max(1_000_000).default(byDefault)

const requests = z
  .strictObject({
    enforced: z
      .boolean()
      .default(true)
      .describe('refuse faster requests with ThrottlingException; kms --dev refuses none'),
    cryptographic: rate(10_000).describe(
      'Encrypt, Decrypt, ReEncrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateMac, VerifyMac and GenerateRandom together, with symmetric and HMAC keys',
    ),
    rsa: rate(1000).describe('Encrypt, Decrypt, ReEncrypt, Sign and Verify together, with RSA keys'),
    ecc: rate(1000).describe('Sign, Verify and DeriveSharedSecret together, with keys on elliptic curves'),
    postQuantum: rate(1000).describe('Sign, Verify, Encapsulate and Decapsulate together, with ML-DSA and ML-KEM keys'),
    dataKeyPairsRsa2048: rate(1).describe(
      'key pairs of RSA_2048 from GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext together',
    ),
    dataKeyPairsRsa3072: rate(0.5).describe('the same of RSA_3072'),
    dataKeyPairsRsa4096: rate(0.1).describe('the same of RSA_4096'),
    dataKeyPairsEcc: rate(100).describe('the same of each curve'),
    keyStore: rate(1800).describe(
      'cryptographic operations with the keys of one custom key store, whoever asks, instead of the rates above',
    ),
    descriptions: rate(2000).describe('each of DescribeKey, GetPublicKey, ListResourceTags'),
    policies: rate(1000).describe('each of GetKeyPolicy, GetKeyRotationStatus'),
    lists: rate(500).describe('each of ListKeys, ListAliases'),
    keyLists: rate(100).describe(
      'each of ListGrants, ListRetirableGrants, ListKeyPolicies, ListKeyRotations, GetKeyLastUsage',
    ),
    grants: rate(50).describe('CreateGrant'),
    grantEnds: rate(30).describe('each of RetireGrant, RevokeGrant'),
    changes: rate(15).describe(
      'each of PutKeyPolicy, ScheduleKeyDeletion, DeleteAlias, EnableKeyRotation, DeleteImportedKeyMaterial, TagResource',
    ),
    rareChanges: rate(5).describe(
      'each of all other operations: CreateKey, DisableKey, CreateAlias, ImportKeyMaterial and so on',
    ),
    importParameters: rate(0.25).describe('GetParametersForImport'),
  })
  .prefault({})
  .describe('requests a second of one account in one Region; as many at once as a second has')

export const quotas = z
  .strictObject({
    keys: count(10_000_000, 100_000).describe('keys of customers in one account and Region, in whatever state'),
    aliasesPerKey: count(1000, 50).describe('aliases of one key'),
    grantsPerKey: count(1_000_000, 50_000).describe('grants of one key'),
    tagsPerKey: count(200, 50).describe('tags of one key'),
    policyBytes: z.int().min(1024).max(131_072).default(32_768).describe('size of a key policy'),
    keyStores: count(100, 10).describe('custom key stores in one account and Region'),
    onDemandRotations: count(100, 25).describe('on-demand rotations of one key, ever'),
    requests,
  })
  .prefault({})
  .describe('how much an account may have, and how fast it may ask')

export type Quotas = z.output<typeof quotas>
export type RequestQuotas = Quotas['requests']
