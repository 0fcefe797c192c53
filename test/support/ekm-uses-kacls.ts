/** The uses of Google Workspace client-side encryption, for the table in ekm-uses.ts: every method, and what a delegate may do. */
import assert from 'node:assert/strict'
import { constants, createHash, publicEncrypt, verify } from 'node:crypto'
import type { Caller, Tokens } from './ekm-callers.ts'
import { OLD, PAIR, PERIMETER, RESOURCE, SPKI, tokensOf } from './ekm-callers.ts'
import { DATA_KEY, outcome, type Use } from './ekm-use.ts'
import type { World } from './ekm-world.ts'

type Json = Readonly<Record<string, unknown>>

const KEY = DATA_KEY.toString('base64')
const MESSAGE = Buffer.from('the signed attributes of a message')
const SIGNS = { algorithm: 'SHA256withRSA', digest: createHash('sha256').update(MESSAGE).digest('base64') }
const OAEP = { key: PAIR.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
const OPENS = {
  algorithm: 'RSA/ECB/OAEPwithSHA-256andMGF1Padding',
  encrypted_data_encryption_key: publicEncrypt(OAEP, DATA_KEY).toString('base64'),
}
const PRIVATE_KEY = PAIR.privateKey.export({ format: 'pem', type: 'pkcs8' })

export const kaclsUrl = (world: World, tenant: string): string => `${world.url('kacls')}/${tenant}/v1`

export const askKacls = (world: World, tenant: string, method: string, body: object) =>
  world.https('POST', `${kaclsUrl(world, tenant)}/${method}`, { reason: 'r', ...body })

/** A member of an answer that must have been given. */
async function made(world: World, tenant: string, method: string, body: object, member: string): Promise<string> {
  const { json, text } = await askKacls(world, tenant, method, body)
  const value = json[member]
  assert.ok(typeof value === 'string', text)
  return value
}

export async function kaclsUses(world: World, by: Caller): Promise<readonly Use[]> {
  const { tenant, tokens } = by
  const { admin, user, granted } = tokens
  const wrapped_key = await made(
    world,
    tenant,
    'wrap',
    { authentication: user, authorization: granted.writer, key: KEY },
    'wrapped_key',
  )
  const named = { private_key: PRIVATE_KEY, perimeter_id: PERIMETER }
  const wrapped_private_key = await made(
    world,
    tenant,
    'wrapprivatekey',
    { authentication: admin, ...named },
    'wrapped_private_key',
  )
  const old = await tokensOf(world, OLD)
  const atOther = { authentication: old.user, authorization: old.granted.writer, key: KEY }
  const migrating = {
    wrapped_key: await made(world, OLD, 'wrap', atOther, 'wrapped_key'),
    original_kacls_url: kaclsUrl(world, OLD),
  }

  const ada = `ada@${tenant}.example`
  const root = `root@${tenant}.example`
  const use = (
    operation: string,
    principal: string,
    body: (tokens: Tokens) => object,
    check: (json: Json) => boolean,
    more: Partial<Use> = {},
  ): Use => ({
    name: `kacls ${operation}`,
    protocol: 'kacls',
    operation,
    keys: ['vault'],
    principal,
    ...more,
    ask: caller =>
      outcome(
        askKacls(world, caller.tenant, operation, body(caller.tokens)),
        ({ json }) => json.details,
        ({ json, text }) => assert.ok(check(json), text),
      ),
  })
  const both = (authentication: string | undefined, authorization: string | undefined) => ({
    authentication,
    authorization,
  })
  const opened = (json: Json) => json.key === KEY
  const signed = ({ signature }: Json) =>
    typeof signature === 'string' && verify('sha256', MESSAGE, PAIR.publicKey, Buffer.from(signature, 'base64'))
  const decrypted = (json: Json) => json.data_encryption_key === KEY
  const wrapped = (json: Json) => typeof json.wrapped_key === 'string'
  const delegate = { delegated: true, keys: ['vault', 'signer'] } as const
  const delegates: readonly Use[] = [
    use('unwrap', ada, t => ({ ...both(t.delegated, t.delegating.reader), wrapped_key }), opened, {
      ...delegate,
      name: 'kacls unwrap by a delegate',
    }),
    use('wrap', ada, t => ({ ...both(t.delegated, t.delegating.writer), key: KEY }), wrapped, {
      ...delegate,
      name: 'kacls wrap by a delegate',
    }),
    use(
      'privatekeysign',
      ada,
      t => ({ ...both(t.delegated, t.delegating.signer), wrapped_private_key, ...SIGNS }),
      signed,
      { ...delegate, name: 'kacls privatekeysign by a delegate' },
    ),
    use(
      'privatekeydecrypt',
      ada,
      t => ({ ...both(t.delegated, t.delegating.decrypter), wrapped_private_key, ...OPENS }),
      decrypted,
      { ...delegate, name: 'kacls privatekeydecrypt by a delegate' },
    ),
  ]
  return [
    use('wrap', ada, t => ({ ...both(t.user, t.granted.writer), key: KEY }), wrapped),
    use('unwrap', ada, t => ({ ...both(t.user, t.granted.reader), wrapped_key }), opened),
    use(
      'digest',
      ada,
      t => ({ authorization: t.granted.verifier, wrapped_key }),
      json => typeof json.resource_key_hash === 'string',
    ),
    use(
      'privilegedwrap',
      root,
      t => ({ authentication: t.admin, key: KEY, resource_name: RESOURCE, perimeter_id: PERIMETER }),
      wrapped,
    ),
    use('privilegedunwrap', root, t => ({ authentication: t.admin, wrapped_key, resource_name: RESOURCE }), opened),
    use(
      'delegate',
      ada,
      t => both(t.user, t.delegating.reader),
      json => typeof json.delegated_authentication === 'string',
      { keys: ['signer'] },
    ),
    ...delegates,
    // Only the first tenant has another service to take over from.
    ...(tenant === 'mine'
      ? [
          use('rewrap', ada, t => ({ authorization: t.granted.migrator, ...migrating }), wrapped, {
            keys: ['vault', 'signer'],
            steps: ['migrate'],
          }),
        ]
      : []),
    use(
      'wrapprivatekey',
      root,
      t => ({ authentication: t.admin, ...named }),
      json => typeof json.wrapped_private_key === 'string',
    ),
    use('privatekeysign', ada, t => ({ ...both(t.user, t.granted.signer), wrapped_private_key, ...SIGNS }), signed),
    use(
      'privatekeydecrypt',
      ada,
      t => ({ ...both(t.user, t.granted.decrypter), wrapped_private_key, ...OPENS }),
      decrypted,
    ),
    use(
      'privilegedprivatekeydecrypt',
      root,
      t => ({
        authentication: t.admin,
        wrapped_private_key,
        spki_hash: SPKI,
        spki_hash_algorithm: 'SHA-256',
        ...OPENS,
      }),
      decrypted,
    ),
  ]
}
