/**
 * Quotas of the KMS, with AWS's numbers as defaults (aws-kms.md §11, and AWS's page "Request quotas" where that is newer): how much an account may have, and how fast
 * it may ask. Data: the operations that share a rate stand in src/kms/wire/quota-classes.ts.
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
      'Encrypt, Decrypt, ReEncrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateMac, VerifyMac together, with symmetric and HMAC keys, and GenerateRandom',
    ),
    rsa: rate(1000).describe('Encrypt, Decrypt, ReEncrypt, Sign and Verify together, with RSA keys'),
    ecc: rate(1000).describe('Sign, Verify and DeriveSharedSecret together, with keys on elliptic curves'),
    mlDsa: rate(1000).describe('Sign and Verify together, with ML-DSA keys'),
    mlKem: rate(1000).describe('Encapsulate and Decapsulate together'),
    keyStore: rate(1800).describe(
      'uses of the keys of each custom key store, whichever account asks, besides the rates above',
    ),
    dataKeyPairsRsa2048: rate(20).describe(
      'GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext together, for pairs of RSA_2048',
    ),
    dataKeyPairsRsa3072: rate(4).describe('the same of RSA_3072'),
    dataKeyPairsRsa4096: rate(1).describe('the same of RSA_4096'),
    dataKeyPairsEcc: rate(100).describe('the same of each curve'),
    descriptions: rate(2000).describe('each of DescribeKey, GetPublicKey, ListResourceTags'),
    policies: rate(1000).describe('each of GetKeyPolicy, GetKeyRotationStatus'),
    lists: rate(500).describe('each of ListKeys, ListAliases'),
    keyLists: rate(100).describe('each of ListGrants, ListRetirableGrants, ListKeyPolicies, ListKeyRotations'),
    grants: rate(50).describe('each of CreateGrant, RetireGrant, RevokeGrant'),
    changes: rate(15).describe(
      'each of PutKeyPolicy, ScheduleKeyDeletion, DeleteAlias, EnableKeyRotation, ImportKeyMaterial, DeleteImportedKeyMaterial',
    ),
    tags: rate(10).describe('TagResource'),
    rareChanges: rate(5).describe('each of all other operations: CreateKey, DisableKey, CreateAlias and so on'),
    importParameters: rate(1).describe('GetParametersForImport'),
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
