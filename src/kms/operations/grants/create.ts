/** CreateGrant (aws-kms.md §3.10). A grant is a row that the boundary tags; it is in force when this answers. */
import { randomBytes } from 'node:crypto'
import { isAsymmetric } from '../../../boundary/algorithms.ts'
import type { KeyHeader, KeyUsage, Row } from '../../../boundary/words.ts'
import { writeGrantToken } from '../../access/grant-tokens.ts'
import {
  constraintsOf,
  type GrantBody,
  type GrantOperation,
  granteeLink,
  grantIdOf,
  grantRowId,
  isServiceName,
  maskOf,
  newGrantId,
  readGrantBody,
  retiringScope,
  writeGrantBody,
} from '../../access/grants.ts'
import { authorizeKey } from '../../keys/allow.ts'
import { findKey } from '../../keys/find.ts'
import { checkState } from '../../keys/states.ts'
import { KmsError } from '../../wire/errors.ts'
import { overQuota, refuseDryRun } from '../common.ts'
import { inOrder } from '../in-order.ts'
import type { Call, FoundKey, Operation } from '../types.ts'
import { type ConstraintsInput, checkGrantTokens, checkPrincipal, checkService, noPrincipal } from './shared.ts'

const MAX_PAIRS = 8
const MAX_TEXT = 384

interface Input {
  readonly KeyId: string
  readonly GranteePrincipal?: string
  readonly GranteeServicePrincipal?: string
  readonly RetiringPrincipal?: string
  readonly RetiringServicePrincipal?: string
  readonly Operations: readonly GrantOperation[]
  readonly Constraints?: ConstraintsInput
  readonly GrantTokens?: readonly string[]
  readonly Name?: string
  readonly DryRun?: boolean
}

/** What of a grant the request says. */
type Asked = Pick<GrantBody, 'name' | 'grantee' | 'retiring' | 'operations' | 'equals' | 'subset' | 'sourceArn'>

export const CreateGrant: Operation<Input, { GrantId: string; GrantToken: string }> = {
  name: 'CreateGrant',
  recordedBy: 'boundary',
  async run(call, input) {
    const asked = checkShape(input)
    if (input.GrantTokens !== undefined) await checkGrantTokens(call, input.GrantTokens)
    const key = await findKey(call, input.KeyId, { aliases: false })
    authorizeKey(call, key, {
      grantIsForAwsResource: call.caller.kind === 'service',
      newGrant: {
        operationNames: asked.operations,
        operations: maskOf(asked.operations),
        constraints: constraintsOf(asked),
        grantee: asked.grantee,
        retiring: asked.retiring,
      },
    })
    checkState(call, key)
    checkOperations(key, asked)
    for (const principal of [asked.grantee, asked.retiring]) {
      if (principal === '') continue
      if (isServiceName(principal)) checkService(call, principal)
      else await checkPrincipal(call, principal)
    }
    // One after the other: a name is given once, and a key's grants are counted right.
    return inOrder(`grants ${key.rowId}`, () => create(call, key, asked, input.DryRun))
  },
}

async function create(
  call: Call,
  key: FoundKey,
  asked: Asked,
  dryRun: boolean | undefined,
): Promise<{ GrantId: string; GrantToken: string }> {
  const { boundary, clocks, grants } = call.services
  const same = asked.name === '' ? undefined : await sameGrant(call, key, asked)
  const most = call.services.settings.quotas.grantsPerKey
  if (same === undefined && (await grants.count(key.rowId)) >= most)
    throw overQuota(`A key has at most ${most} grants.`)
  refuseDryRun(dryRun)
  if (same !== undefined) {
    // Nothing is written, so the boundary does not see it.
    call.outcomePending = true
    call.subject = same.id
    return answer(same.id, readGrantBody(same))
  }
  const id = grantRowId(key.rowId, newGrantId())
  const body: GrantBody = {
    v: 1,
    created: clocks.lifecycle(),
    ...asked,
    account: key.account,
    issuer: call.caller.account,
    secret: randomBytes(16).toString('hex'),
  }
  const scope = retiringScope(call.region, asked.retiring)
  const link = granteeLink(key.rowId, asked.grantee)
  const row = { kind: 'grant' as const, id, scope, link, expected: 0, body: writeGrantBody(body) }
  await boundary.putRows([row], { ...call.asserted, subject: id })
  return answer(id, body)
}

const answer = (rowId: string, { secret }: GrantBody): { GrantId: string; GrantToken: string } => ({
  GrantId: grantIdOf(rowId),
  GrantToken: writeGrantToken(rowId, secret),
})

/** The grant with this name that says the same: it is not made twice. */
async function sameGrant(call: Call, key: FoundKey, asked: Asked): Promise<Row | undefined> {
  const { grants, replica } = call.services
  const link = granteeLink(key.rowId, asked.grantee)
  if (grants.peek(link) === undefined) await grants.load(link)
  for (const { id, name } of grants.peek(link) ?? []) {
    if (name !== asked.name) continue
    const row = await replica.get('grant', grantRowId(key.rowId, id))
    const body = row && readGrantBody(row)
    if (body?.issuer === call.caller.account && whole(body) === whole(asked)) return row
  }
  return undefined
}

/** All that a request says of a grant, as one text: operations and pairs are sets. */
function whole({ name, grantee, retiring, operations, equals, subset, sourceArn }: Asked): string {
  const pairs = (set: GrantBody['equals']): unknown => set && [...set].map(pair => JSON.stringify(pair)).sort()
  return JSON.stringify([name, grantee, retiring, [...operations].sort(), pairs(equals), pairs(subset), sourceArn])
}

const invalid = (text: string): KmsError => new KmsError('ValidationException', text)

/** What no single member of the request can say. */
function checkShape(input: Input): Asked {
  const { GranteePrincipal, GranteeServicePrincipal, RetiringPrincipal, RetiringServicePrincipal, Name = '' } = input
  const { EncryptionContextEquals, EncryptionContextSubset, SourceArn = '' } = input.Constraints ?? {}
  if ((GranteePrincipal === undefined) === (GranteeServicePrincipal === undefined))
    throw invalid('Exactly one of GranteePrincipal and GranteeServicePrincipal must be specified.')
  if (RetiringPrincipal !== undefined && RetiringServicePrincipal !== undefined)
    throw invalid('RetiringPrincipal and RetiringServicePrincipal cannot both be specified.')
  for (const principal of [GranteePrincipal, RetiringPrincipal])
    if (principal !== undefined && isServiceName(principal)) throw noPrincipal(principal)
  const retiring = RetiringPrincipal ?? RetiringServicePrincipal ?? ''
  if (GranteeServicePrincipal !== undefined && (SourceArn === '' || retiring === ''))
    throw invalid('A grant for a service principal needs a SourceArn constraint and a retiring principal.')
  if (input.Operations.length === 0)
    throw invalid(
      "1 validation error detected: Value '[]' at 'operations' failed to satisfy constraint: Member must have length greater than or equal to 1",
    )
  if (EncryptionContextEquals !== undefined && EncryptionContextSubset !== undefined)
    throw invalid('EncryptionContextEquals and EncryptionContextSubset cannot both be specified.')
  return {
    name: Name,
    grantee: GranteePrincipal ?? GranteeServicePrincipal ?? '',
    retiring,
    operations: [...new Set(input.Operations)],
    ...(EncryptionContextEquals === undefined ? {} : { equals: pairsOf(EncryptionContextEquals) }),
    ...(EncryptionContextSubset === undefined ? {} : { subset: pairsOf(EncryptionContextSubset) }),
    sourceArn: SourceArn,
  }
}

function pairsOf(context: Readonly<Record<string, string>>): [string, string][] {
  const pairs = Object.entries(context)
  if (pairs.length > MAX_PAIRS) throw invalid(`A grant constraint has at most ${MAX_PAIRS} encryption context pairs.`)
  if (pairs.flat().some(text => text.length > MAX_TEXT))
    throw invalid(`Names and values of a grant constraint have at most ${MAX_TEXT} characters.`)
  return pairs
}

const OF_EVERY_KEY: readonly GrantOperation[] = ['DescribeKey', 'CreateGrant', 'RetireGrant']
const OF_USAGES: Readonly<Record<KeyUsage, readonly GrantOperation[]>> = {
  ENCRYPT_DECRYPT: ['Encrypt', 'Decrypt', 'ReEncryptFrom', 'ReEncryptTo'],
  SIGN_VERIFY: ['Sign', 'Verify'],
  GENERATE_VERIFY_MAC: ['GenerateMac', 'VerifyMac'],
  KEY_AGREEMENT: ['DeriveSharedSecret'],
  ENCAPSULATE_DECAPSULATE: ['Encapsulate', 'Decapsulate'],
}
const OF_SYMMETRIC_KEYS: readonly GrantOperation[] = [
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
]

/** The operations that a grant of such a key may be for. */
export function grantable({ spec, usage }: Pick<KeyHeader, 'spec' | 'usage'>): ReadonlySet<string> {
  return new Set<string>([
    ...OF_EVERY_KEY,
    ...OF_USAGES[usage],
    ...(spec === 'SYMMETRIC_DEFAULT' ? OF_SYMMETRIC_KEYS : []),
    ...(isAsymmetric(spec) ? ['GetPublicKey'] : []),
  ])
}

function checkOperations({ arn, header }: FoundKey, { operations, equals, subset }: Asked): void {
  const allowed = grantable(header)
  const wrong = operations.find(operation => !allowed.has(operation))
  if (wrong !== undefined)
    throw invalid(
      `${arn} has key spec ${header.spec} and key usage ${header.usage}: a grant of it cannot allow ${wrong}.`,
    )
  if ((equals ?? subset) !== undefined && header.spec !== 'SYMMETRIC_DEFAULT')
    throw invalid(`${arn} is not a symmetric encryption key: its grants cannot constrain an encryption context.`)
}
