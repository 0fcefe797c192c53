/** One caller twice: a role with a credential of its own, and the same role assumed. */
import { join } from 'node:path'
import { connectControl } from '../src/boundary/client/control.ts'
import { ADMINISTRATOR_POLICY, createCredential, createRole, putPolicy } from '../src/kms/admin/index.ts'
import { Secret } from '../src/store/secret.ts'
import type { Measured, Signer } from './services.ts'

export interface Role {
  readonly longLived: Signer
  readonly session: Signer
}

export async function makeRole(kms: Measured): Promise<Role> {
  const account = kms.line.accountId ?? ''
  const role = `arn:aws:iam::${account}:role/bench`
  const control = connectControl({ socket: join(kms.line.data ?? '', 'boundary', 'control.sock') })
  const developer = `arn:aws:iam::${account}:user/developer`
  const trust = { Effect: 'Allow', Principal: { AWS: developer }, Action: 'sts:AssumeRole' }
  await createRole(control, role, JSON.stringify({ Version: '2012-10-17', Statement: [trust] }), undefined)
  await putPolicy(control, role, 'all', ADMINISTRATOR_POLICY)
  const { accessKeyId, secretAccessKey } = await createCredential(control, role)
  control.close()

  const form = { Action: 'AssumeRole', Version: '2011-06-15', RoleArn: role, RoleSessionName: 'bench' }
  const answer = await kms.post({ path: '/', body: new URLSearchParams(form).toString(), sts: true })
  const field = (name: string): string => new RegExp(`<${name}>([^<]+)<`).exec(answer)?.[1] ?? ''
  return {
    longLived: { accessKeyId, secret: secretAccessKey },
    session: {
      accessKeyId: field('AccessKeyId'),
      secret: new Secret(Buffer.from(field('SecretAccessKey'))),
      token: field('SessionToken'),
    },
  }
}
