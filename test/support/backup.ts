/** Backups of the real program: identities, root kits, and what an acknowledged operation must have left. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { BackupResult } from '../../src/backup/backup.ts'
import { type CliResult, holdfast } from './ekm.ts'
import { ApiClient, type Kms } from './kms.ts'

export interface Keys {
  readonly identityFile: string
  readonly recipient: string
}

/** An age identity, made by age's own program. */
export function ageKeys(folder: string, name = 'identity.txt'): Keys {
  const identityFile = join(folder, name)
  const made = spawnSync('age-keygen', ['-o', identityFile], { encoding: 'utf8' })
  assert.equal(made.status, 0, made.stderr)
  const [, recipient = ''] = /public key: (age1\S+)/.exec(readFileSync(identityFile, 'utf8')) ?? []
  return { identityFile, recipient }
}

/** A kit of the root by `holdfast root save`, in place of an older one. */
export async function saveKit(data: string, file: string): Promise<void> {
  rmSync(file, { force: true })
  const { code, stderr } = await holdfast(['root', 'save', file, '--data', data])
  assert.equal(code, 0, stderr)
}

/** `holdfast` with `--json`, which must end well. */
export async function done<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await holdfast([...args, '--json'])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as T
}

/** `holdfast`, which must end with this code, and with this said. */
export async function refused(code: number, said: RegExp, ...args: string[]): Promise<CliResult> {
  const result = await holdfast(args)
  assert.equal(result.code, code, `${args.join(' ')}: ${result.stdout}${result.stderr}`)
  assert.match(result.stderr, said)
  return result
}

export const backUp = (folder: string, data: string, { recipient }: Keys, ...more: string[]): Promise<BackupResult> =>
  done<BackupResult>('backup', folder, '--data', data, '--recipient', recipient, ...more)

/** A key file of --dev, put beside what was restored. */
export function putKeyFile(from: string, to: string): void {
  copyFileSync(join(from, 'root.key'), join(to, 'root.key'))
  chmodSync(join(to, 'root.key'), 0o600)
}

/** One thing that was acknowledged, and when the answer was there. Nothing undoes any of them. */
export type Acknowledged = { readonly at: number } & (
  | { readonly what: 'key'; readonly id: string; readonly description: string }
  | { readonly what: 'alias'; readonly name: string; readonly id: string }
  | { readonly what: 'policy'; readonly id: string; readonly policy: string }
  | { readonly what: 'disabled'; readonly id: string }
  | { readonly what: 'ciphertext'; readonly id: string; readonly blob: string; readonly plaintext: string }
)

const policyOf = (account: string, mark: string): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Id: mark,
    Statement: [
      { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' },
    ],
  })

/** Writes and uses of a service without pause, by several at once, until it is told to stop. */
export class Load {
  readonly acknowledged: Acknowledged[] = []
  readonly #client: ApiClient
  readonly #account: string
  readonly #workers: Promise<void>
  #stopped = false

  constructor({ line }: Kms, workers: number) {
    this.#client = new ApiClient(line.endpoint, line)
    this.#account = line.accountId
    this.#workers = Promise.all(Array.from({ length: workers }, (_, n) => this.#work(n))).then(() => {})
  }

  async #work(worker: number): Promise<void> {
    const client = this.#client
    for (let round = 0; !this.#stopped; round++) {
      const mark = `w${worker}.${round}`
      const { KeyMetadata } = await client.ok('CreateKey', { Description: mark })
      const id: string = KeyMetadata.KeyId
      const note = (what: object) => this.acknowledged.push({ at: Date.now(), id, ...what } as Acknowledged)
      note({ what: 'key', description: mark })
      const name = `alias/${mark.replace('.', '-')}`
      await client.ok('CreateAlias', { AliasName: name, TargetKeyId: id })
      note({ what: 'alias', name })
      const Plaintext = Buffer.from(mark).toString('base64')
      for (let use = 0; use < 3; use++) {
        const { CiphertextBlob } = await client.ok('Encrypt', { KeyId: id, Plaintext })
        note({ what: 'ciphertext', blob: CiphertextBlob, plaintext: Plaintext })
      }
      const policy = policyOf(this.#account, mark)
      await client.ok('PutKeyPolicy', { KeyId: id, PolicyName: 'default', Policy: policy })
      note({ what: 'policy', policy })
      if (round % 3 === 2) {
        await client.ok('DisableKey', { KeyId: id })
        note({ what: 'disabled' })
      }
    }
  }

  /** Resolves when so many things were acknowledged. */
  async reaches(count: number): Promise<void> {
    while (this.acknowledged.length < count)
      await Promise.race([this.#workers, new Promise(next => setImmediate(next))])
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#workers
    this.#client.close()
  }
}

/** Everything that was acknowledged before a time is there. Returns how much that was. */
export async function allThere({ line }: Kms, acknowledged: readonly Acknowledged[], before: number): Promise<number> {
  const client = new ApiClient(line.endpoint, line)
  const disabled = new Set(acknowledged.flatMap(each => (each.what === 'disabled' ? [each.id] : [])))
  const known = acknowledged.filter(({ at }) => at < before)
  const aliases = new Map<string, string>()
  for (let marker: string | undefined, more = true; more; ) {
    const page = await client.ok('ListAliases', { Limit: 100, Marker: marker })
    for (const { AliasName, TargetKeyId } of page.Aliases) aliases.set(AliasName, TargetKeyId)
    marker = page.NextMarker
    more = page.Truncated === true
  }
  for (const each of known) {
    if (each.what === 'alias') assert.equal(aliases.get(each.name), each.id, each.name)
    if (each.what === 'key') {
      const { KeyMetadata } = await client.ok('DescribeKey', { KeyId: each.id })
      assert.equal(KeyMetadata.Description, each.description)
      if (!disabled.has(each.id)) assert.equal(KeyMetadata.KeyState, 'Enabled')
    }
    if (each.what === 'disabled')
      assert.equal((await client.ok('DescribeKey', { KeyId: each.id })).KeyMetadata.KeyState, 'Disabled', each.id)
    if (each.what === 'policy')
      assert.equal((await client.ok('GetKeyPolicy', { KeyId: each.id, PolicyName: 'default' })).Policy, each.policy)
    if (each.what === 'ciphertext' && !disabled.has(each.id))
      assert.equal((await client.ok('Decrypt', { CiphertextBlob: each.blob })).Plaintext, each.plaintext)
  }
  client.close()
  return known.length
}
