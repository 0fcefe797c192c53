/**
 * A KMS with many grants. It is started again once they are there: what seeding leaves in memory is no service's, since no client could write grants as fast.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryOf } from './cpu.ts'
import { keyPolicy, seedGrants } from './grants.ts'
import { firstUses, makeManyKeys, symmetricTargets } from './kms-targets.ts'
import type { Loader } from './loader.ts'
import type { Target } from './measure.ts'
import { type Measured, startMeasured } from './services.ts'

export interface Seeding {
  readonly keys: number
  readonly grants: number
  /** Requests of a round. */
  readonly count: number
  readonly say: (text: string) => void
}

export class Granted {
  readonly #folder = mkdtempSync(join(tmpdir(), 'holdfast-grants-'))
  readonly #memory: Record<string, number> = {}
  #kms: Measured | undefined
  #grants = 0

  async targets(loader: Loader, { keys, grants, count, say }: Seeding): Promise<Target[]> {
    say(`making ${keys} keys with policies of ten statements, and ${grants} grants …`)
    this.#grants = grants
    const seeded = await this.#start()
    const policy = keyPolicy(seeded.line.accountId ?? '')
    const ids = await makeManyKeys(loader, seeded, keys, say, { Policy: policy })
    const grantee = await seedGrants(seeded, ids, grants, say)
    this.#note('seeded')
    say('starting it again …')
    // Is answered when the front end has taken every change before it: the next start then has nothing to catch up with.
    await seeded.call('UpdateKeyDescription', { KeyId: ids[0], Description: 'seeded' })
    await seeded.stop()
    const kms = await this.#start()
    this.#note('started again')
    await firstUses(loader, kms, ids, `${grants} grants`, say)
    return [
      ...(await symmetricTargets(loader, kms, ids, `${grants} grants, by policy`, count)),
      ...(await symmetricTargets(loader, kms, ids, `${grants} grants, by grant`, count, grantee)),
    ]
  }

  async #start(): Promise<Measured> {
    this.#kms = await startMeasured('kms', ['--data', this.#folder])
    return this.#kms
  }

  #note(when: string): void {
    if (this.#kms === undefined) return
    this.#memory[`kms front end, ${this.#grants} grants, ${when}`] = memoryOf(this.#kms.frontEnd)
    this.#memory[`kms boundary, ${this.#grants} grants, ${when}`] = memoryOf(this.#kms.boundary)
  }

  /** Megabytes after seeding, after the start that followed, and now. */
  memory(): Readonly<Record<string, number>> {
    this.#note('measured')
    return this.#memory
  }

  started(): Readonly<Record<string, number>> {
    return this.#kms === undefined ? {} : { [`kms --dev, ${this.#grants} grants`]: this.#kms.startedIn }
  }

  async stop(): Promise<void> {
    await this.#kms?.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
