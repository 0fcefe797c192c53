/**
 * Every operation of the API, told as one story to the AWS SDK for JavaScript, to boto3 and to the AWS CLI. What was seen is docs/compatibility.md:
 * `UPDATE_COMPATIBILITY=1` writes it anew.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as owners from '../../src/ekm/admin/index.ts'
import { OPERATION_INPUTS } from '../../src/kms/wire/model/model.ts'
import { environmentOf } from '../support/clients.ts'
import { compatibilityPage } from '../support/compatibility.ts'
import { REGION, ROOT } from '../support/kms.ts'
import { CUSTOMER, type Pair, startPair } from '../support/pair.ts'
import { type Ask, CHAPTERS, type Members, type Place } from '../support/story.ts'
import { byBoto3, byCli, bySdk, type Teller } from '../support/tellers.ts'

const OTHER_REGION = 'eu-west-1'
const CLIENTS = ['AWS SDK for JavaScript', 'boto3', 'AWS CLI'] as const
const folder = mkdtempSync(join(tmpdir(), 'holdfast-operations-'))
const seen = new Map<string, Set<string>>(CLIENTS.map(client => [client, new Set()]))

let pair: Pair
const tellers = new Map<string, Teller>()
const places = new Map<string, Place>()

before(async () => {
  pair = await startPair(
    folder,
    [...CLIENTS.keys()].map(index => `acme${index}`),
    undefined,
    [REGION, OTHER_REGION],
  )
  const { endpoint, administrator } = pair
  const line = { endpoint, data: folder, ...administrator } as Parameters<typeof environmentOf>[0]['line']
  const env = environmentOf({ line })
  const sdk = bySdk(endpoint, administrator)
  tellers.set('AWS SDK for JavaScript', sdk)
  tellers.set('boto3', byBoto3(env))
  tellers.set('AWS CLI', byCli(env, sdk.ask))
  const control = pair.ownerControl()
  for (const [index, client] of CLIENTS.entries()) places.set(client, await placeOf(control, `acme${index}`))
  control.close()
})
after(async () => {
  for (const teller of tellers.values()) await teller.close()
  await pair?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** An owner's two tenants behind one host name, and a key in the first. */
async function placeOf(control: ReturnType<Pair['ownerControl']>, name: string): Promise<Place> {
  const made: Members[] = []
  for (const tenant of [name, `${name}-2`]) {
    await owners.createTenant(control, tenant)
    await owners.createKey(control, { tenant, keyId: 'vault', usage: 'both', backing: 'software' })
    const { accessKeyId, secretAccessKey } = await owners.createCredential(control, tenant)
    const secret = secretAccessKey.reveal(bytes => bytes.toString('latin1'))
    made.push({ AccessKeyId: accessKeyId, RawSecretAccessKey: secret })
  }
  return {
    region: REGION,
    otherRegion: OTHER_REGION,
    principal: `arn:aws:iam::${CUSTOMER}:user/admin`,
    xksKeyId: 'vault',
    store: {
      CustomKeyStoreName: name,
      XksProxyUriEndpoint: `https://${name}.owner.example`,
      XksProxyUriPath: `/${name}/kms/xks/v1`,
      XksProxyConnectivity: 'PUBLIC_ENDPOINT',
      credential: made[0] ?? {},
      otherPath: `/${name}-2/kms/xks/v1`,
      otherCredential: made[1] ?? {},
    },
  }
}

for (const client of CLIENTS) {
  for (const [title, chapter] of Object.entries(CHAPTERS)) {
    test(`${client}: ${title}`, async () => {
      const { ask, lacks } = tellers.get(client) ?? assert.fail(client)
      const answered = new Set<string>()
      const watched: Ask = async (operation, input, region) => {
        const output = await ask(operation, input, region)
        if (!lacks.has(operation)) answered.add(operation)
        return output
      }
      await chapter(watched, places.get(client) ?? assert.fail(client))
      // What a chapter that did not hold has been answered says nothing.
      for (const operation of answered) seen.get(client)?.add(operation)
    })
  }
}

test('every operation was seen with every client, and docs/compatibility.md says what was seen', () => {
  const page = compatibilityPage(Object.fromEntries(seen))
  const file = join(ROOT, 'docs', 'compatibility.md')
  if (process.env.UPDATE_COMPATIBILITY === '1') writeFileSync(file, page)
  for (const [client, operations] of seen)
    assert.deepEqual(
      [...OPERATION_INPUTS.keys()].filter(name => !operations.has(name)).sort(),
      [...(tellers.get(client)?.lacks ?? [])].sort(),
      client,
    )
  assert.equal(readFileSync(file, 'utf8'), page)
})
