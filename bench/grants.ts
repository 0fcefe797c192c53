/** A deployment with many grants: policies of ten statements, and grants written to the boundary a hundred at a time, as its front end would one by one. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { PutRow } from '../src/boundary/client/api.ts'
import { connectControl } from '../src/boundary/client/control.ts'
import { connectUse } from '../src/boundary/client/use.ts'
import { granteeLink, grantRowId, newGrantId, writeGrantBody } from '../src/kms/access/grants.ts'
import { createCredential, createPrincipal, putPolicy } from '../src/kms/admin/index.ts'
import { Secret } from '../src/store/secret.ts'
import type { Measured, Signer } from './services.ts'

const REGION = 'us-east-1'
/** What the boundary takes as one change. */
const AT_ONCE = 100
/** Changes on their way at the same time. */
const LANES = 8

/** Nine statements that concern other people and other places, as policies grow, and the one that delegates to the account. */
export function keyPolicy(account: string): string {
  const others = Array.from({ length: 9 }, (_, n) => ({
    Sid: `Department${n}`,
    Effect: n % 3 === 0 ? 'Deny' : 'Allow',
    Principal: n % 3 === 0 ? '*' : { AWS: `arn:aws:iam::${account}:root` },
    Action: n % 3 === 0 ? ['kms:ScheduleKeyDeletion', 'kms:DisableKey'] : ['kms:Sign', 'kms:GenerateMac', 'kms:Verify'],
    Resource: '*',
    Condition: { StringNotEquals: { [`kms:EncryptionContext:department${n}`]: `value ${n}` } },
  }))
  const delegate = {
    Effect: 'Allow',
    Principal: { AWS: `arn:aws:iam::${account}:root` },
    Action: 'kms:*',
    Resource: '*',
  }
  return JSON.stringify({ Version: '2012-10-17', Statement: [...others, delegate] })
}

function identityPolicy(): string {
  const Statement = Array.from({ length: 10 }, (_, n) => ({
    Effect: n === 0 ? 'Deny' : 'Allow',
    Action: n === 0 ? 'kms:Put*' : [`kms:List*`, 's3:GetObject', 'kms:GetPublicKey'],
    Resource: `arn:aws:kms:${REGION}:*:key/${n}*`,
  }))
  return JSON.stringify({ Version: '2012-10-17', Statement })
}

/**
 * Spreads `total` grants over the keys, the first of each key to a new user whom no policy allows anything, the others to grantees of their own. Answers
 * the user's credential.
 */
export async function seedGrants(
  kms: Measured,
  keyIds: readonly string[],
  total: number,
  say: (text: string) => void,
): Promise<Signer> {
  const account = kms.line.accountId ?? ''
  const folder = join(kms.line.data ?? '', 'boundary')
  const grantee = `arn:aws:iam::${account}:user/grantee`
  const control = connectControl({ socket: join(folder, 'control.sock') })
  await createPrincipal(control, grantee)
  await putPolicy(control, grantee, 'ten', identityPolicy())
  const made = await createCredential(control, grantee)
  control.close()

  const connected = Promise.withResolvers<void>()
  const use = connectUse({
    socket: join(folder, 'use.sock'),
    onWriteSet: async () => {},
    onState: state => {
      if (state.kind === 'connected') connected.resolve()
    },
  })
  await connected.promise
  const rowOf = (n: number): PutRow => {
    const key = `${REGION}/${keyIds[n % keyIds.length]}`
    const round = Math.floor(n / keyIds.length)
    const to = round === 0 ? grantee : `arn:aws:iam::${account}:role/application-${round}`
    const body = writeGrantBody({
      ...{ v: 1, created: Date.now(), name: '', grantee: to, retiring: '', account, issuer: account, sourceArn: '' },
      operations: ['Encrypt', 'Decrypt', 'GenerateDataKey', 'DescribeKey'],
      secret: randomBytes(16).toString('hex'),
    })
    return {
      kind: 'grant',
      id: grantRowId(key, newGrantId()),
      scope: '',
      link: granteeLink(key, to),
      expected: 0,
      body,
    }
  }
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < total) {
      const from = next
      const to = Math.min(total, from + AT_ONCE)
      next = to
      await use.putRows(
        Array.from({ length: to - from }, (_, n) => rowOf(from + n)),
        { operation: 'CreateGrant' },
      )
      if (to % 100_000 === 0) say(`  ${to} of ${total} grants`)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  use.close()
  return { accessKeyId: made.accessKeyId, secret: new Secret(made.secretAccessKey.reveal(bytes => Buffer.from(bytes))) }
}
