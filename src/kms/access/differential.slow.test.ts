/**
 * The compiled evaluator, and the callers that rows and session tokens make, against a second evaluator (`testing-naive.ts`). Thousands of random
 * policies and requests; the seed is printed and can be given in HOLDFAST_SEED.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Row } from '../../boundary/words.ts'
import { Secret } from '../../store/secret.ts'
import { authorize } from './authorize.ts'
import { compilePolicy } from './compile.ts'
import { FactsContext } from './context.ts'
import {
  bitOfPermission,
  constraintsOf,
  type GrantBody,
  grantThatPermits,
  maskOf,
  namesOf,
  readGrant,
  writeGrantBody,
} from './grants.ts'
import { Principals } from './principals.ts'
import { writeBody } from './rows.ts'
import { writeSessionBody } from './session-body.ts'
import { Sessions } from './sessions.ts'
import { ACCOUNT, contextOf, policyBytes } from './testing.ts'
import { generator, makeCase } from './testing-cases.ts'
import {
  naiveDecision,
  naiveGrant,
  type PlainGrant,
  type PlainPolicy,
  type PlainRegions,
  type Request,
  type Who,
} from './testing-naive.ts'
import type { Caller, KeyFacts, RequestContext } from './types.ts'

/** As rows say it, and the decision reads it. */
function compiledGrants(grants: readonly PlainGrant[], caller: Caller) {
  const body = (grant: PlainGrant): GrantBody => ({
    ...{ v: 1, created: 1, name: '', retiring: '', account: ACCOUNT, issuer: ACCOUNT, secret: '' },
    ...grant,
  })
  return namesOf(caller).flatMap(name =>
    grants
      .filter(({ grantee }) => grantee === name)
      .map((grant, at) =>
        readGrant({
          ...{ kind: 'grant', id: `r/k#${at}`, scope: '', link: name, revision: 1, tag: Buffer.alloc(32) },
          body: writeGrantBody(body(grant)),
        }),
      ),
  )
}

// --- The caller as the service makes it: from rows, and from a session token ---

function rowOf(kind: 'principal' | 'group', id: string, body: Buffer): Row {
  return { kind, id, scope: '', link: '', revision: 1, body, tag: Buffer.alloc(32) }
}

async function callerFrom(who: Who): Promise<Caller> {
  const texts = (policies: PlainPolicy[]) =>
    Object.fromEntries(policies.map((policy, at) => [`p${at}`, JSON.stringify(policy)]))
  const groups = who.groups.map((policies, at) => {
    const id = `arn:aws:iam::${who.account}:group/g${at}`
    return rowOf('group', id, writeBody({ v: 1, created: 0, groupId: 'AGPA', policies: texts(policies) }))
  })
  const body = writeBody({
    ...{ v: 1, created: 0, userId: 'AROAEXAMPLE', tags: {}, credentials: {}, policies: texts(who.policies) },
    ...(groups.length === 0 ? {} : { groups: groups.map(({ id }) => id) }),
    ...(who.boundary === undefined ? {} : { boundary: JSON.stringify(who.boundary) }),
  })
  const rows = new Map([rowOf('principal', who.principal, body), ...groups].map(row => [row.id, row]))
  const principals = new Principals({
    peek: (_, id) => rows.get(id) ?? null,
    get: async (_, id) => rows.get(id),
    list: async () => [],
    secret: async () => undefined,
    peekSecret: () => null,
  })
  if (who.session === undefined) return (await principals.caller(who.principal)) as Caller
  const opened = writeSessionBody({
    kind: 'role',
    accessKeyId: 'ASIAEXAMPLE',
    secret: new Secret(Buffer.from('secret')),
    principal: who.principal,
    uniqueId: 'AROAEXAMPLE',
    sessionName: who.session.name,
    accessKey: '',
    begun: 0,
    sourceIdentity: '',
    tags: [],
    policy: who.session.policy === undefined ? '' : JSON.stringify(who.session.policy),
  })
  const sessions = new Sessions(principals, { openSession: async () => ({ body: opened, expiresAt: 1 }) }, 1)
  const answer = await sessions.identity('AAAA', 'ASIAEXAMPLE', 0, {})
  assert.ok(typeof answer === 'object')
  return answer.caller
}

// --- The request as operations make it ---

/** What keys of several Regions are asked for is computed from the facts of the request, as in the service; the rest is told. */
function contextFor(
  caller: Caller,
  { values }: Request,
  { key, made, replica, primary }: PlainRegions,
): RequestContext {
  const told = contextOf(Object.fromEntries(Object.entries(values).map(([name, value]) => [name.toLowerCase(), value])))
  const header = (type: typeof key) =>
    ({ id: `r/${type === 'ONE' ? '' : 'mrk-'}1`, multiRegion: type === 'ONE' ? 'NONE' : type }) as KeyFacts['header']
  const facts = new FactsContext({
    ...{ caller, region: 'eu-north-1', sourceIp: '', secureTransport: true, userAgent: '', now: 0 },
    key: key && { header: header(key), tags: undefined, aliases: () => [], daysWithoutUsage: () => undefined },
    newKey: made && {
      ...{ spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin: 'AWS_KMS', multiRegion: made !== 'ONE' },
      ...(made === 'REPLICA' ? { multiRegionKeyType: made } : {}),
    },
    replicaRegion: replica,
    primaryRegion: primary,
  })
  return {
    get: (name, suffix) => (/multiregion|primaryregion|replicaregion/.test(name) ? facts : told).get(name, suffix),
  }
}

const CASES = 10_000

test('the compiled evaluator decides as the documented algorithm does', async t => {
  const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.diagnostic(`seed ${seed}`)
  const random = generator(seed)
  let allowed = 0
  let granted = 0
  for (let number = 0; number < CASES; number++) {
    const { keyPolicy, who, grants, facts, regions, request } = makeCase(random)
    const { resource } = request
    const caller = await callerFrom(who)
    const verdict = authorize({
      caller,
      permission: request.action,
      resource,
      resourceAccount: ACCOUNT,
      crossAccount: true,
      keyPolicy: keyPolicy === undefined ? undefined : compilePolicy('key', policyBytes(keyPolicy)),
      context: contextFor(caller, request, regions),
      grants: () =>
        grantThatPermits(compiledGrants(grants, caller), {
          operation: bitOfPermission(request.action),
          context: facts.context,
          sourceArn: facts.sourceArn,
          newGrant: { operations: maskOf(facts.child.operations), constraints: constraintsOf(facts.child) },
        }) !== undefined,
    })
    const byGrant = grants.some(grant => naiveGrant(grant, who, request, facts))
    const expected = naiveDecision(keyPolicy, who, request, ACCOUNT, byGrant)
    if (expected && byGrant && !naiveDecision(keyPolicy, who, request, ACCOUNT, false)) granted++
    if (expected) allowed++
    assert.equal(
      verdict === 'allowed',
      expected,
      `seed ${seed}, case ${number}: ${verdict}\n${JSON.stringify({ ...request, who, keyPolicy, grants, facts, regions }, null, 1)}`,
    )
  }
  // Both answers must be common, or the comparison says little.
  assert.ok(allowed > CASES * 0.05 && allowed < CASES * 0.95, `${allowed} of ${CASES} allowed`)
  assert.ok(granted > CASES * 0.02, `${granted} of ${CASES} allowed by grants alone`)
})
