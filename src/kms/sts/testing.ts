/** For tests: a KMS whose accounts have users and roles, and what a client of STS does with its answers. */
import assert from 'node:assert/strict'
import type { Caller } from '../access/types.ts'
import * as admin from '../admin/index.ts'
import { ACCOUNT, OTHER, startTestKms, type TestKms, user } from '../testing.ts'

export const arn = (name: string, account = ACCOUNT) => `arn:aws:iam::${account}:${name}`
export const ROLE = arn('role/teams/app')
export const STS_ACTIONS = ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity']
export const trust = (AWS: string | string[], more: object = {}) =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Principal: { AWS }, Action: STS_ACTIONS, ...more },
  })
export const allow = (Action: string | string[], more: object = {}) =>
  JSON.stringify({ Version: '2012-10-17', Statement: { Effect: 'Allow', Action, Resource: '*', ...more } })

/** Users alice and bob, and eve of the other account; ROLE, which alice may assume, and role/next, which the account may. */
export async function startStsKms(now: () => number): Promise<TestKms> {
  const kms = await startTestKms({}, { now })
  for (const id of [ACCOUNT, OTHER]) await admin.createAccount(kms.control, { id })
  for (const name of ['user/alice', 'user/bob']) await admin.createPrincipal(kms.control, arn(name))
  await admin.createPrincipal(kms.control, arn('user/eve', OTHER))
  await admin.createRole(kms.control, ROLE, trust(arn('user/alice')), 7200, { team: 'role', Stage: 'role' })
  await admin.createRole(kms.control, arn('role/next'), trust(ACCOUNT), undefined)
  return kms
}

export const alice = (...statements: object[]) => user('alice', statements)
export const assumeRole = (kms: TestKms, more: Record<string, string> = {}, caller: Caller = alice()) =>
  kms.sts({ Action: 'AssumeRole', RoleArn: ROLE, RoleSessionName: 'deploy@ci', ...more }, caller)
export const codeOf = (body: string) => /<Code>(\w+)<\/Code>/.exec(body)?.[1]
export const textOf = (body: string) => /<Message>([^<]*)<\/Message>/.exec(body)?.[1]
export const field = (body: string, name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? ''

/** The caller that the credentials of an answer prove. */
export async function provenBy(kms: TestKms, body: string, now: number): Promise<Caller> {
  const answer = await kms.sessions.identity(field(body, 'SessionToken'), field(body, 'AccessKeyId'), now, {})
  assert.ok(typeof answer === 'object', String(answer))
  assert.equal(
    answer.secret.reveal(bytes => bytes.toString()),
    field(body, 'SecretAccessKey'),
  )
  return answer.caller
}
