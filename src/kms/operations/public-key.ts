/** GetPublicKey (aws-kms.md §3.1): what everybody may know of an asymmetric key, from its sealed key's clear header. */
import { isAsymmetric } from '../../boundary/algorithms.ts'
import { authorizeKey } from '../keys/allow.ts'
import { findKey } from '../keys/find.ts'
import { algorithmMembers, specMembers } from '../keys/metadata.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { checkGrantTokens } from './grants/shared.ts'
import type { Operation } from './types.ts'

export const GetPublicKey: Operation<{ KeyId: string; GrantTokens?: readonly string[] }, object> = {
  name: 'GetPublicKey',
  recordedBy: 'runner',
  async run(call, { KeyId, GrantTokens }) {
    if (GrantTokens !== undefined) await checkGrantTokens(call, GrantTokens)
    const key = await findKey(call, KeyId, { aliases: true })
    authorizeKey(call, key)
    checkState(call, key)
    const { spec, usage, publicKey } = key.header
    if (!isAsymmetric(spec)) throw new KmsError('UnsupportedOperationException')
    return {
      KeyId: key.arn,
      PublicKey: publicKey.toString('base64'),
      ...specMembers(spec),
      KeyUsage: usage,
      ...algorithmMembers(key.header),
    }
  },
}
