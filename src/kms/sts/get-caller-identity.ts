/** STS GetCallerIdentity (aws-kms.md §4.5): what tools ask to learn who they are, before they do anything. It needs no permission. */
import type { StsOperation } from './operation.ts'

export const GetCallerIdentity: StsOperation = {
  name: 'GetCallerIdentity',
  recordedBy: 'runner',
  run: async ({ caller }) => ({ Arn: caller.arn, UserId: caller.userId, Account: caller.account }),
}
