/**
 * The condition keys that requests can have, as data: aws-kms.md §12.6 and the global keys of IAM. A key that is missing here is absent from
 * every request; policies that name one are accepted, as AWS does, and treat it as absent.
 */

/** `multi`: the key holds a set, which policies read with ForAllValues / ForAnyValue. */
export interface ConditionKeyInfo {
  /** As AWS writes it. */
  readonly name: string
  readonly type: 'String' | 'Bool' | 'Numeric' | 'Date' | 'IP' | 'ARN'
  readonly multi?: true
  /** What separates the name from its parameter, for keys that have one. */
  readonly parameter?: ':' | '/'
}

const table = {
  'aws:calledvia': { name: 'aws:CalledVia', type: 'String', multi: true },
  'aws:calledviafirst': { name: 'aws:CalledViaFirst', type: 'String' },
  'aws:calledvialast': { name: 'aws:CalledViaLast', type: 'String' },
  'aws:currenttime': { name: 'aws:CurrentTime', type: 'Date' },
  'aws:epochtime': { name: 'aws:EpochTime', type: 'Date' },
  'aws:principalaccount': { name: 'aws:PrincipalAccount', type: 'String' },
  'aws:principalarn': { name: 'aws:PrincipalArn', type: 'ARN' },
  'aws:principalisawsservice': { name: 'aws:PrincipalIsAWSService', type: 'Bool' },
  'aws:principalservicename': { name: 'aws:PrincipalServiceName', type: 'String' },
  'aws:principalservicenameslist': { name: 'aws:PrincipalServiceNamesList', type: 'String', multi: true },
  'aws:principaltag': { name: 'aws:PrincipalTag', type: 'String', parameter: '/' },
  'aws:principaltype': { name: 'aws:PrincipalType', type: 'String' },
  'aws:requestedregion': { name: 'aws:RequestedRegion', type: 'String' },
  'aws:requesttag': { name: 'aws:RequestTag', type: 'String', parameter: '/' },
  'aws:resourceaccount': { name: 'aws:ResourceAccount', type: 'String' },
  'aws:resourcetag': { name: 'aws:ResourceTag', type: 'String', parameter: '/' },
  'aws:securetransport': { name: 'aws:SecureTransport', type: 'Bool' },
  'aws:sourceaccount': { name: 'aws:SourceAccount', type: 'String' },
  'aws:sourcearn': { name: 'aws:SourceArn', type: 'ARN' },
  'aws:sourceip': { name: 'aws:SourceIp', type: 'IP' },
  'aws:tagkeys': { name: 'aws:TagKeys', type: 'String', multi: true },
  'aws:useragent': { name: 'aws:UserAgent', type: 'String' },
  'aws:userid': { name: 'aws:userid', type: 'String' },
  'aws:username': { name: 'aws:username', type: 'String' },
  'aws:viaawsservice': { name: 'aws:ViaAWSService', type: 'Bool' },
  'kms:bypasspolicylockoutsafetycheck': { name: 'kms:BypassPolicyLockoutSafetyCheck', type: 'Bool' },
  'kms:calleraccount': { name: 'kms:CallerAccount', type: 'String' },
  'kms:customermasterkeyspec': { name: 'kms:CustomerMasterKeySpec', type: 'String' },
  'kms:customermasterkeyusage': { name: 'kms:CustomerMasterKeyUsage', type: 'String' },
  'kms:datakeypairspec': { name: 'kms:DataKeyPairSpec', type: 'String' },
  'kms:encryptionalgorithm': { name: 'kms:EncryptionAlgorithm', type: 'String' },
  'kms:encryptioncontext': { name: 'kms:EncryptionContext', type: 'String', parameter: ':' },
  'kms:encryptioncontextkeys': { name: 'kms:EncryptionContextKeys', type: 'String', multi: true },
  'kms:expirationmodel': { name: 'kms:ExpirationModel', type: 'String' },
  'kms:grantconstraintsourcearn': { name: 'kms:GrantConstraintSourceArn', type: 'ARN' },
  'kms:grantconstrainttype': { name: 'kms:GrantConstraintType', type: 'String' },
  'kms:granteeprincipal': { name: 'kms:GranteePrincipal', type: 'String' },
  'kms:granteeserviceprincipal': { name: 'kms:GranteeServicePrincipal', type: 'String' },
  'kms:grantisforawsresource': { name: 'kms:GrantIsForAWSResource', type: 'Bool' },
  'kms:grantoperations': { name: 'kms:GrantOperations', type: 'String', multi: true },
  'kms:keyagreementalgorithm': { name: 'kms:KeyAgreementAlgorithm', type: 'String' },
  'kms:keyorigin': { name: 'kms:KeyOrigin', type: 'String' },
  'kms:keyspec': { name: 'kms:KeySpec', type: 'String' },
  'kms:keyusage': { name: 'kms:KeyUsage', type: 'String' },
  'kms:macalgorithm': { name: 'kms:MacAlgorithm', type: 'String' },
  'kms:messagetype': { name: 'kms:MessageType', type: 'String' },
  'kms:multiregion': { name: 'kms:MultiRegion', type: 'Bool' },
  'kms:reencryptonsamekey': { name: 'kms:ReEncryptOnSameKey', type: 'Bool' },
  'kms:requestalias': { name: 'kms:RequestAlias', type: 'String' },
  'kms:resourcealiases': { name: 'kms:ResourceAliases', type: 'String', multi: true },
  'kms:retiringprincipal': { name: 'kms:RetiringPrincipal', type: 'String' },
  'kms:retiringserviceprincipal': { name: 'kms:RetiringServicePrincipal', type: 'String' },
  'kms:rotationperiodindays': { name: 'kms:RotationPeriodInDays', type: 'Numeric' },
  'kms:schedulekeydeletionpendingwindowindays': { name: 'kms:ScheduleKeyDeletionPendingWindowInDays', type: 'Numeric' },
  'kms:signingalgorithm': { name: 'kms:SigningAlgorithm', type: 'String' },
  'kms:validto': { name: 'kms:ValidTo', type: 'Date' },
  'kms:viaservice': { name: 'kms:ViaService', type: 'String' },
  'kms:wrappingalgorithm': { name: 'kms:WrappingAlgorithm', type: 'String' },
  'kms:wrappingkeyspec': { name: 'kms:WrappingKeySpec', type: 'String' },
} as const satisfies Record<string, ConditionKeyInfo>

/** A condition key that some request can have, by its lower-case name. */
export type ConditionKey = keyof typeof table
export const CONDITION_KEYS: Readonly<Record<ConditionKey, ConditionKeyInfo>> = table

/** A condition key as a policy names it, taken apart. `key` undefined: no request has it. */
export interface NamedConditionKey {
  readonly key: ConditionKey | undefined
  /** Lower case; '' where the key takes no parameter. */
  readonly suffix: string
}

/** Reads a condition key's name; letter case does not matter, in the parameter neither (aws-kms.md §12.6). */
export function readConditionKey(name: string): NamedConditionKey {
  const lower = name.toLowerCase()
  if (isConditionKey(lower))
    return { key: CONDITION_KEYS[lower].parameter === undefined ? lower : undefined, suffix: '' }
  const colon = lower.indexOf(':')
  for (const separator of [':', '/'] as const) {
    const at = lower.indexOf(separator, colon + 1)
    if (at < 0) continue
    const base = lower.slice(0, at)
    if (isConditionKey(base) && CONDITION_KEYS[base].parameter === separator)
      return { key: base, suffix: lower.slice(at + 1) }
  }
  return { key: undefined, suffix: '' }
}

function isConditionKey(name: string): name is ConditionKey {
  return Object.hasOwn(table, name)
}
