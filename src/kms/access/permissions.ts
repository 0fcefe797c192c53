/**
 * What every operation needs, as data (promise 5): one line an operation, for all 56 of the KMS API and for STS. aws-kms.md §12.3 and §12.4.
 * An operation that is missing here stops the start.
 */

/**
 * What a permission is asked on.
 * `key`: the key that the request names (for UpdateAlias and DeleteAlias the alias's target). `source-key`, `destination-key`: ReEncrypt.
 * `alias`: the alias's ARN, identity policies only. `new-key`: the key that an alias is to point at, or the other key of UpdatePrimaryRegion.
 * `any`: `*`, identity policies only. `role`: the role that is to be assumed, whose trust policy decides as a key's policy does for a key.
 */
export type AccessTarget = 'role' | 'key' | 'source-key' | 'destination-key' | 'alias' | 'new-key' | 'any'

export interface Permission {
  readonly permission: string
  readonly on: AccessTarget
  /** Asked only when the request brings tags, or a session has a source identity. */
  readonly when?: 'tags' | 'source-identity'
}

export interface OperationAccess {
  /** All of them are needed. Empty only where `anyone` is true. */
  readonly permissions: readonly Permission[]
  /** Whether principals of other accounts may be allowed it. */
  readonly crossAccount: boolean
  /** No key is involved: identity policies alone decide. */
  readonly iamOnly: boolean
  /** Every authenticated caller may; policies are not asked. */
  readonly anyone?: true
}

function onKey(name: string): OperationAccess {
  return { permissions: [{ permission: `kms:${name}`, on: 'key' }], crossAccount: false, iamOnly: false }
}
function onKeyAcross(name: string): OperationAccess {
  return { ...onKey(name), crossAccount: true }
}
function onAny(name: string): OperationAccess {
  return { permissions: [{ permission: `kms:${name}`, on: 'any' }], crossAccount: false, iamOnly: true }
}
function onAlias(name: string, ...keys: readonly ('key' | 'new-key')[]): OperationAccess {
  const permission = `kms:${name}`
  const targets: readonly AccessTarget[] = ['alias', ...keys]
  return { permissions: targets.map(on => ({ permission, on })), crossAccount: false, iamOnly: false }
}

export const OPERATION_ACCESS: Readonly<Record<string, OperationAccess>> = Object.assign(Object.create(null), {
  CancelKeyDeletion: onKey('CancelKeyDeletion'),
  ConnectCustomKeyStore: onAny('ConnectCustomKeyStore'),
  CreateAlias: onAlias('CreateAlias', 'new-key'),
  CreateCustomKeyStore: onAny('CreateCustomKeyStore'),
  CreateGrant: onKeyAcross('CreateGrant'),
  CreateKey: {
    permissions: [
      { permission: 'kms:CreateKey', on: 'any' },
      { permission: 'kms:TagResource', on: 'any', when: 'tags' },
    ],
    crossAccount: false,
    iamOnly: true,
  },
  Decapsulate: onKeyAcross('Decapsulate'),
  Decrypt: onKeyAcross('Decrypt'),
  DeleteAlias: onAlias('DeleteAlias', 'key'),
  DeleteCustomKeyStore: onAny('DeleteCustomKeyStore'),
  DeleteImportedKeyMaterial: onKey('DeleteImportedKeyMaterial'),
  DeriveSharedSecret: onKeyAcross('DeriveSharedSecret'),
  DescribeCustomKeyStores: onAny('DescribeCustomKeyStores'),
  DescribeKey: onKeyAcross('DescribeKey'),
  DisableKey: onKey('DisableKey'),
  DisableKeyRotation: onKey('DisableKeyRotation'),
  DisconnectCustomKeyStore: onAny('DisconnectCustomKeyStore'),
  EnableKey: onKey('EnableKey'),
  EnableKeyRotation: onKey('EnableKeyRotation'),
  Encapsulate: onKeyAcross('Encapsulate'),
  Encrypt: onKeyAcross('Encrypt'),
  GenerateDataKey: onKeyAcross('GenerateDataKey'),
  GenerateDataKeyPair: onKeyAcross('GenerateDataKeyPair'),
  GenerateDataKeyPairWithoutPlaintext: onKeyAcross('GenerateDataKeyPairWithoutPlaintext'),
  GenerateDataKeyWithoutPlaintext: onKeyAcross('GenerateDataKeyWithoutPlaintext'),
  GenerateMac: onKeyAcross('GenerateMac'),
  GenerateRandom: onAny('GenerateRandom'),
  GetKeyLastUsage: onKey('GetKeyLastUsage'),
  GetKeyPolicy: onKey('GetKeyPolicy'),
  GetKeyRotationStatus: onKeyAcross('GetKeyRotationStatus'),
  GetParametersForImport: onKey('GetParametersForImport'),
  GetPublicKey: onKeyAcross('GetPublicKey'),
  ImportKeyMaterial: onKey('ImportKeyMaterial'),
  ListAliases: onAny('ListAliases'),
  ListGrants: onKeyAcross('ListGrants'),
  ListKeyPolicies: onKey('ListKeyPolicies'),
  ListKeyRotations: onKey('ListKeyRotations'),
  ListKeys: onAny('ListKeys'),
  ListResourceTags: onKey('ListResourceTags'),
  ListRetirableGrants: onAny('ListRetirableGrants'),
  PutKeyPolicy: onKey('PutKeyPolicy'),
  ReEncrypt: {
    permissions: [
      { permission: 'kms:ReEncryptFrom', on: 'source-key' },
      { permission: 'kms:ReEncryptTo', on: 'destination-key' },
    ],
    crossAccount: true,
    iamOnly: false,
  },
  ReplicateKey: {
    permissions: [
      { permission: 'kms:ReplicateKey', on: 'key' },
      { permission: 'kms:CreateKey', on: 'any' },
      { permission: 'kms:TagResource', on: 'any', when: 'tags' },
    ],
    crossAccount: false,
    iamOnly: false,
  },
  RetireGrant: onKeyAcross('RetireGrant'),
  RevokeGrant: onKeyAcross('RevokeGrant'),
  RotateKeyOnDemand: onKey('RotateKeyOnDemand'),
  ScheduleKeyDeletion: onKey('ScheduleKeyDeletion'),
  Sign: onKeyAcross('Sign'),
  TagResource: onKey('TagResource'),
  UntagResource: onKey('UntagResource'),
  UpdateAlias: onAlias('UpdateAlias', 'key', 'new-key'),
  UpdateCustomKeyStore: onAny('UpdateCustomKeyStore'),
  UpdateKeyDescription: onKey('UpdateKeyDescription'),
  UpdatePrimaryRegion: {
    permissions: [
      { permission: 'kms:UpdatePrimaryRegion', on: 'key' },
      { permission: 'kms:UpdatePrimaryRegion', on: 'new-key' },
    ],
    crossAccount: false,
    iamOnly: false,
  },
  Verify: onKeyAcross('Verify'),
  VerifyMac: onKeyAcross('VerifyMac'),
  AssumeRole: {
    permissions: [
      { permission: 'sts:AssumeRole', on: 'role' },
      { permission: 'sts:TagSession', on: 'role', when: 'tags' },
      { permission: 'sts:SetSourceIdentity', on: 'role', when: 'source-identity' },
    ],
    crossAccount: true,
    iamOnly: false,
  },
  // These need no permission, and cannot be denied.
  GetSessionToken: { permissions: [], crossAccount: false, iamOnly: true, anyone: true },
  GetCallerIdentity: { permissions: [], crossAccount: false, iamOnly: true, anyone: true },
} satisfies Record<string, OperationAccess>)

/** The start calls it with the names of every operation that it is about to serve. Throws with the names of those without a declaration. */
export function assertEveryOperationDeclared(operations: Iterable<string>): void {
  const missing = [...operations].filter(name => {
    const access = OPERATION_ACCESS[name]
    return access === undefined || (access.permissions.length === 0) !== (access.anyone === true)
  })
  if (missing.length > 0) {
    throw new Error(
      `These operations declare no permission and cannot be served: ${missing.join(', ')}. Declare them in src/kms/access/permissions.ts.`,
    )
  }
}

/** The declaration of an operation that the start has checked. */
export function accessOf(operation: string): OperationAccess {
  const access = OPERATION_ACCESS[operation]
  if (access === undefined) throw new Error(`The operation ${operation} declares no permission.`)
  return access
}
