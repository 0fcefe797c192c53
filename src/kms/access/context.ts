/**
 * The request context: each condition key's value, computed from the facts of the request when a policy asks for it. aws-kms.md §12.6.
 */
import type { ConditionKey } from './condition-keys.ts'
import { isServiceName } from './grants.ts'
import type { ConditionValue, NewGrant, PrincipalKind, RequestContext, RequestFacts } from './types.ts'

const PRINCIPAL_TYPES: Readonly<Record<PrincipalKind, string>> = {
  root: 'Account',
  user: 'User',
  role: 'AssumedRole',
  service: 'AssumedRole',
}

export class FactsContext implements RequestContext {
  readonly #facts: RequestFacts

  constructor(facts: RequestFacts) {
    this.#facts = facts
  }

  get(key: ConditionKey, suffix: string): ConditionValue {
    const facts = this.#facts
    const { caller } = facts
    switch (key) {
      case 'aws:calledvia':
      case 'aws:principalservicenameslist':
        return caller.kind === 'service' ? [caller.servicePrincipal] : undefined
      case 'aws:calledviafirst':
      case 'aws:calledvialast':
      case 'aws:principalservicename':
        return caller.kind === 'service' ? caller.servicePrincipal : undefined
      case 'aws:currenttime':
        return new Date(facts.now).toISOString()
      case 'aws:epochtime':
        return String(Math.floor(facts.now / 1000))
      case 'aws:principalaccount':
      case 'kms:calleraccount':
        return caller.account
      case 'aws:principalarn':
        return caller.arn
      case 'aws:principalisawsservice':
      case 'aws:viaawsservice':
        return flag(caller.kind === 'service')
      case 'aws:principaltag':
        return caller.tags.get(suffix)
      case 'aws:principaltype':
        return PRINCIPAL_TYPES[caller.kind]
      case 'aws:requestedregion':
        return facts.region
      case 'aws:requesttag':
        return byName(facts.requestTags, suffix)
      case 'aws:resourceaccount':
        return facts.key?.header.account
      case 'aws:resourcetag':
        return byName(facts.key?.tags, suffix)
      case 'aws:securetransport':
        return flag(facts.secureTransport)
      case 'aws:sourceaccount':
        return facts.sourceArn?.split(':')[4]
      case 'aws:sourcearn':
        return facts.sourceArn
      case 'aws:sourceip':
        return given(facts.sourceIp)
      case 'aws:tagkeys':
        return facts.requestTags === undefined ? facts.requestTagKeys : [...facts.requestTags.keys()]
      case 'aws:useragent':
        return given(facts.userAgent)
      case 'aws:userid':
        return caller.userId
      case 'aws:username':
        return given(caller.userName)
      case 'kms:bypasspolicylockoutsafetycheck':
        return flag(facts.bypassPolicyLockoutSafetyCheck)
      case 'kms:customermasterkeyspec':
      case 'kms:keyspec':
        return facts.newKey?.spec ?? facts.key?.header.spec
      case 'kms:customermasterkeyusage':
      case 'kms:keyusage':
        return facts.newKey?.usage ?? facts.key?.header.usage
      case 'kms:datakeypairspec':
        return facts.dataKeyPairSpec
      case 'kms:encryptionalgorithm':
        return facts.encryptionAlgorithm
      case 'kms:encryptioncontext':
        return contextValue(facts.encryptionContext, suffix)
      case 'kms:encryptioncontextkeys':
        return facts.encryptionContext === undefined ? undefined : Object.keys(facts.encryptionContext)
      case 'kms:expirationmodel':
        return facts.expirationModel
      case 'kms:keyagreementalgorithm':
        return facts.keyAgreementAlgorithm
      case 'kms:keyorigin':
        return facts.newKey?.origin ?? facts.key?.header.origin
      case 'kms:macalgorithm':
        return facts.macAlgorithm
      case 'kms:messagetype':
        return facts.messageType
      case 'kms:multiregion':
        // Keys of several Regions carry the `mrk-` prefix in their id (aws-kms.md §3.8).
        return flag(facts.newKey?.multiRegion ?? facts.key?.header.id.includes('/mrk-'))
      case 'kms:reencryptonsamekey':
        return flag(facts.reEncryptOnSameKey)
      case 'kms:requestalias':
        return facts.requestAlias
      case 'kms:resourcealiases':
        return facts.key?.aliases()
      case 'kms:grantconstraintsourcearn':
        return given(facts.newGrant?.constraints.sourceArn ?? '')
      case 'kms:grantconstrainttype':
        return constraintType(facts.newGrant)
      case 'kms:granteeprincipal':
        return principal(facts.newGrant?.grantee)
      case 'kms:granteeserviceprincipal':
        return service(facts.newGrant?.grantee)
      case 'kms:grantisforawsresource':
        return flag(facts.grantIsForAwsResource)
      case 'kms:grantoperations':
        return facts.newGrant?.operationNames
      case 'kms:retiringprincipal':
        return principal(facts.newGrant?.retiring)
      case 'kms:retiringserviceprincipal':
        return service(facts.newGrant?.retiring)
      case 'kms:rotationperiodindays':
        return number(facts.rotationPeriodInDays)
      case 'kms:schedulekeydeletionpendingwindowindays':
        return number(facts.pendingWindowInDays)
      case 'kms:signingalgorithm':
        return facts.signingAlgorithm
      case 'kms:validto':
        return facts.validTo === undefined ? undefined : String(facts.validTo / 1000)
      case 'kms:viaservice':
        return caller.kind === 'service' ? `${caller.service}.${facts.region}.amazonaws.com` : undefined
      case 'kms:wrappingalgorithm':
        return facts.wrappingAlgorithm
      case 'kms:wrappingkeyspec':
        return facts.wrappingKeySpec
    }
  }
}

function flag(value: boolean | undefined): string | undefined {
  if (value === undefined) return undefined
  return value ? 'true' : 'false'
}

function number(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value)
}

function principal(name: string | undefined): string | undefined {
  return name === undefined || name === '' || isServiceName(name) ? undefined : name
}

function service(name: string | undefined): string | undefined {
  return name === undefined || name === '' || !isServiceName(name) ? undefined : name
}

function constraintType(grant: NewGrant | undefined): string | undefined {
  const context = grant?.constraints.context
  if (context === undefined) return undefined
  return context.exact ? 'EncryptionContextEquals' : 'EncryptionContextSubset'
}

function given(value: string): string | undefined {
  return value === '' ? undefined : value
}

/** One pair found: its value. Several names that differ only in case: all their values, so that none hides behind another. */
function collect(found: ConditionValue, value: string): ConditionValue {
  if (found === undefined) return value
  return typeof found === 'string' ? [found, value] : [...found, value]
}

function contextValue(pairs: Readonly<Record<string, string>> | undefined, suffix: string): ConditionValue {
  let found: ConditionValue
  for (const name in pairs) {
    if (name.length !== suffix.length || !Object.hasOwn(pairs, name)) continue
    if (name === suffix || name.toLowerCase() === suffix) found = collect(found, pairs[name] ?? '')
  }
  return found
}

function byName(tags: ReadonlyMap<string, string> | undefined, suffix: string): ConditionValue {
  if (tags === undefined) return undefined
  let found: ConditionValue
  for (const [name, value] of tags) if (name.toLowerCase() === suffix) found = collect(found, value)
  return found
}
