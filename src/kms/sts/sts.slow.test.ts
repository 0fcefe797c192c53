/** STS over a real boundary: what each operation answers and refuses, in STS's words, and the record that each request has. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Caller } from '../access/types.ts'
import * as admin from '../admin/index.ts'
import { ACCOUNT, OTHER, type TestKms, user } from '../testing.ts'
import { stsError } from './errors.ts'
import {
  alice,
  allow,
  arn,
  assumeRole,
  codeOf,
  field,
  provenBy,
  ROLE,
  STS_ACTIONS,
  startStsKms,
  textOf,
  trust,
} from './testing.ts'

let kms: TestKms
const clock = Date.now()
before(async () => {
  kms = await startStsKms(() => clock)
})
after(() => kms.stop())

const assume = (more?: Record<string, string>, caller?: Caller) => assumeRole(kms, more, caller)
const callerBy = (body: string, now = clock) => provenBy(kms, body, now)

async function refused(answer: ReturnType<TestKms['sts']>, code: string, text: RegExp, status = 400): Promise<void> {
  const { status: actual, body } = await answer
  assert.deepEqual([codeOf(body), actual], [code, status], body)
  assert.match(textOf(body) ?? '', text)
}

describe('the protocol', () => {
  test('GetCallerIdentity tells who the caller is', async () => {
    const { status, contentType, body } = await kms.sts({ Action: 'GetCallerIdentity' }, alice())
    assert.deepEqual([status, contentType], [200, 'text/xml'])
    assert.match(body, /^<GetCallerIdentityResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/">/)
    assert.deepEqual(
      ['Arn', 'UserId', 'Account'].map(name => field(body, name)),
      [arn('user/alice'), 'AIDAEXAMPLE', ACCOUNT],
    )
    assert.match(body, /<RequestId>[0-9a-f-]{36}<\/RequestId>/)
  })
  test('everything else is refused in the form of STS, each with one record', async () => {
    for (const [form, status, code] of [
      ['', 400, 'MissingAction'],
      ['Version=2011-06-15', 400, 'MissingAction'],
      ['Action=DecodeAuthorizationMessage&Version=2011-06-15', 400, 'InvalidAction'],
      ['Action=GetCallerIdentity', 400, 'InvalidAction'],
      ['Action=GetCallerIdentity&Version=2010-01-01', 400, 'InvalidAction'],
      ['Action=toString&Version=2011-06-15', 400, 'InvalidAction'],
      ['Action=GetCallerIdentity&Action=x&Version=2011-06-15', 404, 'MalformedQueryString'],
      ['Action=AssumeRole&Version=2011-06-15&Tags.member.x.Key=a', 404, 'MalformedQueryString'],
    ] as const) {
      const before = await kms.records()
      const reply = await kms.sts(form)
      assert.equal(reply.status, status, form)
      assert.equal(await kms.records(), before + 1, form)
      assert.match(reply.body, new RegExp(`<Type>Sender</Type>\\s*<Code>${code}</Code>`))
    }
  })
  test('what callers send is escaped, and cut', async () => {
    const { body } = await kms.sts(`Action=${encodeURIComponent('</Message><x a="1">&\u0000')}&Version=2011-06-15`)
    assert.ok(!body.includes('<x'))
    assert.match(body, /&lt;\/Message&gt;&lt;x a=&quot;1&quot;&gt;&amp;\ufffd/)
    assert.ok((await kms.sts(`Action=${'x'.repeat(100_000)}`)).body.length < 1_000)
  })
  test('errors of the service are the receiver’s', () => {
    const reply = stsError('ServiceUnavailable', 'Try again.', 'id')
    assert.equal(reply.status, 503)
    assert.match(reply.body, /<Type>Receiver<\/Type>/)
  })
})

describe('AssumeRole', () => {
  test('begins a session of the role', async () => {
    const { status, body } = await assume({ DurationSeconds: '900' })
    assert.equal(status, 200, body)
    const session = `arn:aws:sts::${ACCOUNT}:assumed-role/app/deploy@ci`
    assert.equal(field(body, 'Arn'), session)
    assert.match(field(body, 'AssumedRoleId'), /^AROA[A-Z2-7]{16}:deploy@ci$/)
    assert.match(field(body, 'AccessKeyId'), /^ASIA[A-Z2-7]{16}$/)
    assert.match(field(body, 'SecretAccessKey'), /^[A-Za-z0-9+/]{40}$/)
    assert.equal(Date.parse(field(body, 'Expiration')), Math.floor((clock + 900_000) / 1000) * 1000)
    assert.equal(field(body, 'PackedPolicySize'), '')
    const caller = await callerBy(body)
    assert.deepEqual(
      [caller.kind, caller.arn, caller.principalArn, caller.userId, caller.userName],
      ['role', session, ROLE, field(body, 'AssumedRoleId'), ''],
    )
    const identity = await kms.sts({ Action: 'GetCallerIdentity' }, caller)
    assert.deepEqual([field(identity.body, 'Arn'), field(identity.body, 'UserId')], [session, caller.userId])
  })

  test('each end has one record', async () => {
    const before = await kms.records()
    await assume()
    await assume({}, user('bob', []))
    await assume({ RoleSessionName: '' })
    assert.equal(await kms.records(), before + 3)
  })

  test('parameters are held against their constraints, all in one message', async () => {
    await refused(
      kms.sts({ Action: 'AssumeRole' }, alice()),
      'ValidationError',
      /^2 validation errors detected: Value null at &apos;roleArn&apos; failed to satisfy constraint: Member must not be null; Value null at &apos;roleSessionName&apos;/,
    )
    for (const [more, text] of [
      [
        { RoleSessionName: 'a b' },
        /Value &apos;a b&apos; at &apos;roleSessionName&apos; failed to satisfy constraint: Member must satisfy regular expression pattern: \[\\w\+=,\.@-\]\*/,
      ],
      [{ RoleSessionName: 'x' }, /length greater than or equal to 2/],
      [{ RoleSessionName: 'x'.repeat(65) }, /length less than or equal to 64/],
      [
        { DurationSeconds: '899' },
        /Value &apos;899&apos; at &apos;durationSeconds&apos; failed to satisfy constraint: Member must have value greater than or equal to 900/,
      ],
      [{ DurationSeconds: '43201' }, /value less than or equal to 43200/],
      [{ DurationSeconds: '1e3' }, /be an integer/],
      [{ ExternalId: 'x' }, /externalId/],
      [{ SourceIdentity: 'a b' }, /sourceIdentity/],
      [
        { Policy: `{"a":"${'x'.repeat(2050)}"}` },
        /policy&apos; failed to satisfy constraint: Member must have length less than or equal to 2048/,
      ],
      [{ 'Tags.member.1.Key': 'a<b' }, /tags\.1\.member\.key/],
      [{ 'Tags.member.1.Key': 'a', 'Tags.member.1.Value': 'x'.repeat(257) }, /tags\.1\.member\.value/],
      [{ 'TransitiveTagKeys.member.1': '' }, /transitiveTagKeys\.1\.member/],
      [{ RoleArn: 'arn:aws:iam::no:role/application' }, /Request ARN is invalid/],
      [{ RoleArn: arn('user/alice') }, /Request ARN is invalid/],
      [{ 'PolicyArns.member.1.arn': 'arn:aws:iam::aws:policy/ReadOnlyAccess' }, /no managed policies/],
      [
        { DurationSeconds: '7201' },
        /^The requested DurationSeconds exceeds the MaxSessionDuration set for this role\.$/,
      ],
    ] as const) {
      await refused(assume(more as unknown as Record<string, string>), 'ValidationError', text)
    }
  })

  test('who is not let has AWS’s words, whether or not there is such a role', async () => {
    const text = (who: string, role: string) =>
      new RegExp(`^User: ${who} is not authorized to perform: sts:AssumeRole on resource: ${role}$`)
    await refused(assume({}, user('bob', [])), 'AccessDenied', text(arn('user/bob'), ROLE), 403)
    const none = arn('role/none')
    await refused(assume({ RoleArn: none }), 'AccessDenied', text(arn('user/alice'), none), 403)
    const service = arn('role/aws-service-role/objects.amazonaws.com/AWSServiceRoleForObjects')
    await refused(assume({ RoleArn: service }), 'AccessDenied', text(arn('user/alice'), service), 403)
    const deny = { Effect: 'Deny', Action: 'sts:*', Resource: '*' }
    await refused(assume({}, alice(deny)), 'AccessDenied', text(arn('user/alice'), ROLE), 403)
    const root = (await kms.services.principals.caller(arn('root'))) as Caller
    await refused(assume({}, root), 'AccessDenied', /^Roles may not be assumed by root accounts\.$/, 403)
    await refused(
      assume({ SerialNumber: 'x'.repeat(9), TokenCode: '123456' }),
      'AccessDenied',
      /MFA one time pass code/,
      403,
    )
  })

  test('a trust policy that names the account leaves it to identity policies; one across accounts needs both', async () => {
    const RoleArn = arn('role/next')
    await refused(assume({ RoleArn }, alice()), 'AccessDenied', /not authorized/, 403)
    const may = { Effect: 'Allow', Action: 'sts:AssumeRole', Resource: RoleArn }
    assert.equal((await assume({ RoleArn }, alice(may))).status, 200)
    const eve = (...statements: object[]) => user('eve', statements, OTHER)
    await refused(assume({ RoleArn }, eve(may)), 'AccessDenied', /not authorized/, 403)
    await admin.setTrustPolicy(kms.control, RoleArn, trust([ACCOUNT, OTHER]))
    assert.equal((await assume({ RoleArn }, eve(may))).status, 200)
    await refused(assume({ RoleArn }, eve()), 'AccessDenied', /not authorized/, 403)
  })

  test('an external id, a session name and a source identity that the trust policy asks for', async () => {
    const RoleArn = arn('role/asks')
    const StringEquals = { 'sts:ExternalId': 'secret-1', 'sts:RoleSessionName': 'alice', 'sts:SourceIdentity': 'alice' }
    await admin.createRole(kms.control, RoleArn, trust(arn('user/alice'), { Condition: { StringEquals } }), undefined)
    const right = { RoleArn, ExternalId: 'secret-1', RoleSessionName: 'alice', SourceIdentity: 'alice' }
    const { status, body } = await assume(right)
    assert.equal(status, 200, body)
    assert.equal(field(body, 'SourceIdentity'), 'alice')
    assert.equal((await callerBy(body)).session?.sourceIdentity, 'alice')
    for (const wrong of ['ExternalId', 'RoleSessionName', 'SourceIdentity']) {
      await refused(assume({ ...right, [wrong]: 'other' }), 'AccessDenied', /not authorized/, 403)
    }
  })

  test('tags and a source identity each need a permission of their own', async () => {
    const RoleArn = arn('role/plain')
    await admin.createRole(kms.control, RoleArn, trust(arn('user/alice'), { Action: 'sts:AssumeRole' }), undefined)
    assert.equal((await assume({ RoleArn })).status, 200)
    await refused(assume({ RoleArn, 'Tags.member.1.Key': 'a' }), 'AccessDenied', /perform: sts:TagSession on/, 403)
    await refused(
      assume({ RoleArn, SourceIdentity: 'alice' }),
      'AccessDenied',
      /perform: sts:SetSourceIdentity on/,
      403,
    )
  })

  test('session tags stand before the role’s, and conditions see them in the request', async () => {
    const tags = {
      'Tags.member.1.Key': 'Team',
      'Tags.member.1.Value': 'session',
      'Tags.member.2.Key': 'cost',
      'Tags.member.2.Value': '7',
    }
    const { body } = await assume(tags)
    const caller = await callerBy(body)
    assert.deepEqual(Object.fromEntries(caller.tags), { team: 'session', stage: 'role', cost: '7' })
    assert.match(field(body, 'PackedPolicySize'), /^[1-9]\d?$/)
    const Condition = {
      StringEquals: { 'aws:RequestTag/team': 'session' },
      'ForAllValues:StringEquals': { 'aws:TagKeys': ['Team'] },
    }
    await admin.createRole(kms.control, arn('role/tagged'), trust(arn('user/alice'), { Condition }), undefined)
    await refused(assume({ ...tags, RoleArn: arn('role/tagged') }), 'AccessDenied', /not authorized/, 403)
    const one = { 'Tags.member.1.Key': 'Team', 'Tags.member.1.Value': 'session' }
    assert.equal((await assume({ ...one, RoleArn: arn('role/tagged') })).status, 200)
    for (const [more, text] of [
      [{ 'Tags.member.1.Key': 'a', 'Tags.member.2.Key': 'A' }, /Duplicate tag keys/],
      [{ 'Tags.member.1.Key': 'aws:x' }, /reserved/],
      [{ 'TransitiveTagKeys.member.1': 'a' }, /must be included in the requested tags/],
    ] as const) {
      await refused(assume(more as unknown as Record<string, string>), 'InvalidParameterValue', text)
    }
  })

  test('a session policy limits, and one that cannot be read is refused', async () => {
    const { body } = await assume({ Policy: allow('kms:ListKeys') })
    const caller = await callerBy(body)
    assert.notEqual(caller.session?.policy, undefined)
    assert.notEqual(field(body, 'PackedPolicySize'), '')
    await refused(assume({ Policy: '{"Statement":[]}' }), 'MalformedPolicyDocument', /no statements/)
    const big = Object.fromEntries(
      Array.from({ length: 40 }, (_, at) => [`Tags.member.${at + 1}`, at]).flatMap(([path, at]) => [
        [`${path}.Key`, `key-${at}`],
        [`${path}.Value`, 'v'.repeat(250)],
      ]),
    )
    await refused(assume(big), 'PackedPolicyTooLarge', /consumes 1\d\d% of allotted space/)
  })

  test('chaining: at most an hour, and what is transitive goes along', async () => {
    const may = { Effect: 'Allow', Action: STS_ACTIONS, Resource: '*' }
    await admin.putPolicy(kms.control, ROLE, 'chain', JSON.stringify({ Statement: may }))
    const tags = {
      ...{ 'Tags.member.1.Key': 'Team', 'Tags.member.1.Value': 'red', 'TransitiveTagKeys.member.1': 'team' },
      ...{ 'Tags.member.2.Key': 'cost', 'Tags.member.2.Value': '7' },
    }
    const first = await callerBy((await assume({ ...tags, SourceIdentity: 'alice' })).body)
    const RoleArn = arn('role/next')
    await refused(
      assume({ RoleArn, DurationSeconds: '3601' }, first),
      'ValidationError',
      /^The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining\.$/,
    )
    await refused(
      assume({ RoleArn, 'Tags.member.1.Key': 'TEAM' }, first),
      'InvalidParameterValue',
      /conflicts with a transitive tag key/,
    )
    await refused(
      assume({ RoleArn, SourceIdentity: 'mallory' }, first),
      'AccessDenied',
      /cannot change the source identity/,
      403,
    )
    const { body } = await assume({ RoleArn }, first)
    const second = await callerBy(body)
    assert.deepEqual(Object.fromEntries(second.tags), { team: 'red' })
    assert.equal(second.session?.sourceIdentity, 'alice')
    assert.deepEqual([...(second.session?.transitiveTags ?? [])], [['Team', 'red']])
  })
})

describe('GetSessionToken', () => {
  const ask = (caller: Caller, accessKeyId: string, more: Record<string, string> = {}) =>
    kms.sts({ Action: 'GetSessionToken', ...more }, caller, accessKeyId)

  test('is for users and roots with access keys of their own', async () => {
    const { accessKeyId } = await admin.createCredential(kms.control, arn('user/alice'))
    const caller = (await kms.services.principals.caller(arn('user/alice'))) as Caller
    const { status, body } = await ask(caller, accessKeyId)
    assert.equal(status, 200, body)
    assert.equal(Date.parse(field(body, 'Expiration')), Math.floor((clock + 43_200_000) / 1000) * 1000)
    const session = await callerBy(body)
    assert.deepEqual([session.kind, session.arn, session.userName], ['user', arn('user/alice'), 'alice'])
    assert.equal(session.session?.issuedAt, clock)
    await refused(ask(session, field(body, 'AccessKeyId')), 'AccessDenied', /with session credentials/, 403)
    const role = (await kms.services.principals.caller(ROLE)) as Caller
    await refused(ask(role, 'AKIAEXAMPLE'), 'AccessDenied', /Only users/, 403)
    await refused(
      ask(caller, accessKeyId, { DurationSeconds: '129601' }),
      'ValidationError',
      /less than or equal to 129600/,
    )
    await refused(
      ask(caller, accessKeyId, { DurationSeconds: '899' }),
      'ValidationError',
      /greater than or equal to 900/,
    )
    assert.equal((await ask(caller, accessKeyId, { DurationSeconds: '129600' })).status, 200)

    await admin.setCredentialActive(kms.control, accessKeyId, false)
    const { SessionToken: token, AccessKeyId: id } = {
      SessionToken: field(body, 'SessionToken'),
      AccessKeyId: field(body, 'AccessKeyId'),
    }
    assert.equal(await kms.sessions.identity(token, id, clock, {}), 'invalid')
    await admin.setCredentialActive(kms.control, accessKeyId, true)
    assert.equal(typeof (await kms.sessions.identity(token, id, clock, {})), 'object')
  })

  test('a root has an hour at most', async () => {
    const root = arn('root')
    const { accessKeyId } = await admin.createCredential(kms.control, root)
    const caller = (await kms.services.principals.caller(root)) as Caller
    const { body } = await ask(caller, accessKeyId, { DurationSeconds: '7200' })
    assert.equal(Date.parse(field(body, 'Expiration')), Math.floor((clock + 3_600_000) / 1000) * 1000)
    assert.equal((await callerBy(body)).kind, 'root')
  })
})

test('nothing failed for a reason of ours', () => assert.deepEqual(kms.defects, []))
