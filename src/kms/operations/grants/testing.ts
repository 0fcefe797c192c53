/** For tests of grants: people who have nothing but grants, and a KMS that knows them. */
import assert from 'node:assert/strict'
import { callerOf } from '../../access/testing.ts'
import type { Caller } from '../../access/types.ts'
import { ACCOUNT, ADMINISTRATOR, type Answer, OTHER, startTestKms, type TestKms, user } from '../../testing.ts'

/** A user without policies: nothing but grants lets it do anything. */
export const bob = user('bob', [])
export const carol = user('carol', [])
export const stranger = user('stranger', [], OTHER)
export const root = callerOf(`arn:aws:iam::${ACCOUNT}:root`)
export const objects = callerOf(
  `arn:aws:iam::${ACCOUNT}:role/aws-service-role/objects.amazonaws.com/AWSServiceRoleForObjects`,
)

/** The same caller, whose identity policies allow everything. */
export const withAll = (caller: Caller): Caller => ({ ...caller, policies: ADMINISTRATOR.policies })

export const withPolicy = (caller: Caller, ...statements: object[]): Caller => ({
  ...caller,
  policies: user('policies', statements).policies,
})

export interface NewKey {
  readonly KeyId: string
  readonly Arn: string
}

export const errorOf = ({ body }: Answer): string => body.__type ?? ''
export const refused = async (answer: Promise<Answer>, type: string): Promise<void> =>
  assert.equal(errorOf(await answer), `${type}Exception`, JSON.stringify((await answer).body))

export interface GrantsKms {
  readonly kms: TestKms
  newKey(): Promise<NewKey>
  /** A grant that lets bob Encrypt, unless `input` says otherwise. */
  grant(KeyId: string, input: object, by?: Caller): Promise<Answer['body']>
  encrypt(KeyId: string, caller?: Caller, more?: object): Promise<Answer>
}

export async function startGrantsKms(): Promise<GrantsKms> {
  const kms = await startTestKms()
  for (const { arn } of [ADMINISTRATOR, bob, carol, stranger, objects]) await kms.principal(arn)
  return {
    kms,
    newKey: async () => (await kms.ok('CreateKey')).KeyMetadata,
    grant: (KeyId, input, by = ADMINISTRATOR) =>
      kms.ok('CreateGrant', { KeyId, GranteePrincipal: bob.arn, Operations: ['Encrypt'], ...input }, by),
    encrypt: (KeyId, caller = bob, more = {}) => kms.call('Encrypt', { KeyId, Plaintext: 'AA==', ...more }, caller),
  }
}
