/** Vectors of session tokens. */
import { sealSessionToken } from '../../../src/boundary/crypto/session-token.ts'
import { type SessionBody, writeSessionBody } from '../../../src/kms/access/session-body.ts'
import { Secret } from '../../../src/store/secret.ts'
import { ACCOUNT, boundary, fixed, hex, type Json, keyring, stream, type VectorFile } from './source.ts'

const EXPIRES_AT = 1_790_003_600_000

const SESSIONS: readonly Omit<SessionBody, 'secret'>[] = [
  {
    kind: 'role',
    accessKeyId: 'ASIA234567ABCDEFGHIJ',
    principal: `arn:aws:iam::${ACCOUNT}:role/teams/app`,
    uniqueId: 'AROA234567ABCDEFGHIJ',
    sessionName: 'deploy@ci',
    accessKey: '',
    begun: 1_790_000_000_000,
    sourceIdentity: 'alice',
    tags: [
      { key: 'team', value: 'payments', transitive: true },
      { key: 'Projekt', value: 'Größe', transitive: false },
    ],
    policy: '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}}',
  },
  {
    kind: 'principal',
    accessKeyId: 'ASIA7654327654327654',
    principal: `arn:aws:iam::${ACCOUNT}:user/alice`,
    uniqueId: 'AIDA234567ABCDEFGHIJ',
    sessionName: '',
    accessKey: 'AKIA234567ABCDEFGHIJ',
    begun: 1_790_000_000_000,
    sourceIdentity: '',
    tags: [],
    policy: '',
  },
]

export function sessionTokens(): VectorFile {
  return {
    boundary,
    vectors: SESSIONS.map(session => {
      const secretAccessKey = fixed(session.accessKeyId, 30).toString('base64')
      const body = writeSessionBody({ ...session, secret: new Secret(Buffer.from(secretAccessKey)) })
      const token = sealSessionToken(keyring(), { body, expiresAt: EXPIRES_AT }, stream(session.accessKeyId))
      return {
        session: { ...session, secretAccessKey } as unknown as Json,
        body: hex(body),
        expiresAt: EXPIRES_AT,
        nonce: hex(token.subarray(30, 46)),
        token: hex(token),
      }
    }),
  }
}
