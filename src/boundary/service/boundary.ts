/**
 * The boundary behind its sockets: locked until the root of trust is there, then one journal, one book and everything that is done with them.
 */
import type { BoundaryStatus } from '../client/api.ts'
import type { InputOf, OperationName, OutputOf } from '../client/protocol/operations.ts'
import type { BoundaryConfig } from '../config.ts'
import { type Disk, realDisk } from '../journal/disk.ts'
import { openJournal } from '../journal/journal.ts'
import { ClockBehind, JournalDamage } from '../journal/types.ts'
import type { Token, TokenStatus } from '../pkcs11/types.ts'
import { readParameters } from '../root/shares.ts'
import { BoundaryError } from '../words.ts'
import { Book } from './book.ts'
import { Ceremonies } from './ceremonies/ceremonies.ts'
import { type Stopwatch, stopwatch } from './ceremonies/ceremony.ts'
import { stepOf } from './ceremonies/operations.ts'
import type { Clocks } from './clock.ts'
import { Clusters } from './clusters.ts'
import { baseFields, type Call, type Core, ownCall } from './core.ts'
import { Delivery } from './delivery.ts'
import { DueScanner } from './due.ts'
import type { FolderFiles } from './folder.ts'
import { HANDLERS, LEAVES_DUE, WORKS_WHEN_LOW } from './handlers.ts'
import { type CounterLimits, Counters, counterLimits, decodeCounter, encodeCounter } from './keys/counters.ts'
import { Holds } from './keys/holds.ts'
import { Locks } from './keys/locks.ts'
import { DEFAULT_OPEN_KEYS, OpenKeys } from './keys/open-keys.ts'
import { Switches } from './keys/switches.ts'
import { type Log, placeOf } from './log.ts'
import { changeTrust } from './operations/root.ts'
import { advanceClock } from './operations/service.ts'
import { Renewal } from './renewal.ts'
import { fileOfShares, type Opened, openByPassphrase, openByShares, type RootState, readRoot } from './roots.ts'
import { Rewritten } from './rotation/rewritten.ts'
import { Rotation } from './rotation/rotation.ts'
import { nextRow } from './transition.ts'
import { UnlockLimit } from './unlock-limit.ts'

export const VERSION = '0.1.0'
const DEFAULT_KEYS = 100_000
const DEFAULT_ON_DEMAND = 25

export interface BoundaryParts {
  readonly config: BoundaryConfig
  readonly files: FolderFiles
  readonly rootState: RootState
  readonly warnings: readonly string[]
  /** Tokens besides that of the root, open, by name. */
  readonly tokens: ReadonlyMap<string, Token>
  readonly log: Log
  /** A write or an fsync failed: end the process, answer nothing. */
  readonly onFatal: (error: Error) => void
  /** Asked to stop by the administrator. */
  readonly onStop: () => void
  /** Unlocked: connections made before are to be ended. */
  readonly onUnlocked: () => void
  /** Real time; tests move it. */
  readonly now?: () => number
  readonly disk?: Disk
  /** Told of the root's token where a change of the root of trust opens one. */
  readonly onRootToken: (status: TokenStatus) => void
  /** Whether keys that are Creating or Updating stay so; tests hold them to look at them. */
  readonly held?: () => boolean
  /** Of the ceremonies; tests move it. */
  readonly watch?: Stopwatch
}

export class Boundary {
  readonly delivery = new Delivery()
  readonly #parts: BoundaryParts
  readonly #limit = new UnlockLimit()
  readonly #ceremonies: Ceremonies
  readonly #counterLimits: CounterLimits
  #core: Core | undefined
  #scanner: DueScanner | undefined
  #renewal: Renewal | undefined
  #rootState: RootState
  #stopping = false
  /** Set once by a failed write: nothing is answered any more. */
  dead = false

  constructor(parts: BoundaryParts) {
    this.#parts = parts
    const { maxEncryptions, renewAfter } = parts.config.limits ?? {}
    this.#counterLimits = counterLimits(maxEncryptions, renewAfter)
    this.#rootState = parts.rootState
    this.#ceremonies = new Ceremonies({
      watch: parts.watch ?? stopwatch,
      limit: this.#limit,
      log: parts.log,
      awaited: () => {
        if (!this.locked) throw new BoundaryError('InvalidState', 'it is not locked')
        const { boundaryId, parameters } = fileOfShares(this.#rootState)
        return readParameters(boundaryId, parameters)
      },
      open: key => this.#openLocked(() => openByShares(this.#rootState, key)),
      core: () => {
        if (this.#core === undefined) throw new BoundaryError('Locked')
        return this.#core
      },
      enforce: (core, trust, call) => changeTrust(core, { trust, token: undefined, rootObjectId: '' }, call),
    })
  }

  get locked(): boolean {
    return this.#core === undefined
  }

  get lastWriteSet(): number {
    return this.#core?.book.lastWriteSet ?? 0
  }

  get boundaryId(): string {
    return (this.#core?.root.file ?? this.#rootState.file)?.boundaryId.toString('hex') ?? ''
  }

  /** Opens journal and book with an open root. */
  async open(opened: Opened, call: Call): Promise<void> {
    const { config, files, log } = this.#parts
    const { root, token, rootObjectId } = opened
    const { keyring } = root
    const now = this.#parts.now ?? Date.now
    const book = new Book()
    const journal = await openJournal(
      {
        dir: config.folder,
        disk: this.#parts.disk ?? realDisk,
        boundaryId: root.file.boundaryId,
        keys: root.file.generations.map(({ generation, firstRecord }) => ({
          firstRecord,
          writeSet: keyring.key('write-set', generation),
          snapshot: keyring.key('snapshot', generation),
        })),
        signer: root.logKey,
        origin: config.logOrigin,
        now,
        ...(config.limits?.floorBytes === undefined ? {} : { floorBytes: config.limits.floorBytes }),
        ...(config.limits?.reserveBytes === undefined ? {} : { reserveBytes: config.limits.reserveBytes }),
        onFatal: error => {
          this.dead = true
          this.#parts.onFatal(error)
        },
        state: () => book.state(),
        restore: state => book.restore(state),
      },
      frame => book.replay(frame),
    )
    const { firstRecord = 0, generation = 0 } = root.file.generations.at(-1) ?? {}
    if (journal.size < firstRecord) {
      const what = `generation ${generation} of the root begins with record ${firstRecord}: the journal is older than the root file, and they do not belong together`
      throw new JournalDamage(files.journal, 0, journal.size, what)
    }
    book.attach(journal)
    log('info', 'the journal is open', {
      records: journal.size,
      fromSnapshot: journal.opened.fromSnapshot,
      replayed: journal.opened.replayed,
      cutBytes: journal.opened.cutBytes,
    })
    for (const reason of journal.opened.snapshotsRefused) log('warn', `a snapshot was passed over: ${reason}`)
    const clocks: Clocks = { real: now, lifecycle: () => now() + book.clockOffset }
    const switches = new Switches()
    for (const id of book.pinnedIds('switch')) switches.take({ id, body: book.pinned('switch', id) ?? null })
    const holds = new Holds(now)
    for (const id of book.pinnedIds('hold')) holds.take({ id, body: book.pinned('hold', id) ?? null })
    const core: Core = {
      service: config.service,
      root,
      keyring,
      book,
      clocks,
      open: new OpenKeys(book, keyring, config.limits?.openKeys ?? DEFAULT_OPEN_KEYS),
      locks: new Locks(),
      switches,
      holds,
      counters: new Counters({
        limits: this.#counterLimits,
        reservedNow: id => {
          const body = book.pinned('counter', id)
          return body === undefined ? 0 : decodeCounter(body)
        },
        reserve: (id, to) => reserve(core, id, to),
        onWorn: id => renewal.worn(id),
      }),
      tokens: new Map([...(token === undefined ? [] : [['', token] as const]), ...this.#parts.tokens]),
      clusters: new Clusters(config.clusters ?? [], book, keyring),
      rootObjectId,
      onRootToken: this.#parts.onRootToken,
      rewritten: new Rewritten(),
      rotation: new Rotation(files.root, log),
      quotas: {
        keys: config.limits?.keys ?? DEFAULT_KEYS,
        onDemandRotations: config.limits?.onDemandRotations ?? DEFAULT_ON_DEMAND,
      },
    }
    const renewal = new Renewal(core, log)
    book.onRow = (row, rewritten) => {
      if (row.kind === 'key') {
        core.open.forget(row.id)
        renewal.forget(row.id)
      } else if (rewritten) return
      else if (row.kind === 'switch') switches.take(row)
      else if (row.kind === 'hold') holds.take(row)
    }
    book.onWriteSet = (number, rows) => this.delivery.push(number, rows)
    await book.record({
      ...baseFields(core, call.source === 'control' ? 'unlock' : 'start', call, undefined),
      outcome: 'allowed',
    })
    this.#core = core
    this.#renewal = renewal
    renewal.start()
    this.#scanner = new DueScanner(
      core,
      (id, error) => log('error', 'what is due of a key failed', { key: id, ...placeOf(error) }),
      this.#parts.held ?? (() => false),
    )
    this.#scanner.start()
    await core.rotation.start(core)
  }

  /** Does one operation. Rejects with what was thrown; the dispatcher makes an answer of it. */
  run<N extends OperationName>(name: N, input: InputOf<N>, call: Call): Promise<OutputOf<N>> {
    if (name === 'status') return Promise.resolve(this.status() as OutputOf<N>)
    if (name === 'unlock') return this.#unlock(input as Buffer) as Promise<OutputOf<N>>
    if (name === 'stop') {
      this.#parts.onStop()
      return Promise.resolve(undefined as OutputOf<N>)
    }
    if (this.#stopping) return Promise.reject(new BoundaryError('Unavailable', 'the boundary is stopping'))
    const step = stepOf(name)
    if (step !== undefined) return step(this.#ceremonies, input, call)
    const core = this.#core
    if (core === undefined) return Promise.reject(new BoundaryError('Locked'))
    if (core.book.journal.lowOnSpace && !WORKS_WHEN_LOW.has(name)) return Promise.reject(new BoundaryError('DiskFull'))
    if (name === 'advanceClock') return this.#advance(core, input as number, call) as Promise<OutputOf<N>>
    const handler = HANDLERS[name as keyof typeof HANDLERS] as (
      core: Core,
      input: unknown,
      call: Call,
    ) => Promise<unknown>
    const done = handler(core, input, call) as Promise<OutputOf<N>>
    if (LEAVES_DUE.has(name)) this.#scanAfter(done)
    return done
  }

  /** Looks at what is due once the answer is on its way; should the process end before, the next start does. */
  #scanAfter(done: Promise<unknown>): void {
    const scan = (): void => {
      if (!this.#stopping && !this.dead) void this.#scanner?.scan()
    }
    done.then(
      () => setImmediate(scan),
      () => {},
    )
  }

  /** The current row behind a refusal of a stale one. */
  async currentRow(id: string) {
    return this.#core?.book.read('key', id)
  }

  async #advance(core: Core, milliseconds: number, call: Call): Promise<number> {
    await advanceClock(core, milliseconds, call)
    await this.#scanner?.scan()
    call.writeSet = core.book.lastWriteSet
    return core.clocks.lifecycle()
  }

  async #unlock(passphrase: Buffer): Promise<void> {
    const given = Buffer.from(passphrase)
    passphrase.fill(0)
    if (!this.locked) throw new BoundaryError('InvalidState', 'it is not locked')
    const { config, files } = this.#parts
    if (config.root.kind !== 'passphrase') throw new BoundaryError('InvalidState', 'no passphrase opens it')
    await this.#limit.attempt(() => this.#openLocked(() => openByPassphrase(config, files, this.#rootState, given)))
  }

  async #openLocked(open: () => Promise<Opened>): Promise<void> {
    const { config, files } = this.#parts
    const opened = await open()
    this.#rootState = await readRoot(config, files)
    try {
      await this.open(opened, { source: 'control', writeSet: 0 })
    } catch (error) {
      if (!(error instanceof JournalDamage || error instanceof ClockBehind)) throw error
      // It stays locked: the administrator is told what to mend.
      throw new BoundaryError('InvalidState', error.message)
    }
    this.#parts.onUnlocked()
  }

  status(): BoundaryStatus {
    const { config, warnings } = this.#parts
    const core = this.#core
    const journal = core?.book.journal
    return {
      service: config.service,
      boundaryId: this.boundaryId,
      version: VERSION,
      pid: process.pid,
      locked: core === undefined,
      rootKind: core?.root.file.kind ?? config.root.kind,
      rootGeneration: core?.keyring.current ?? 0,
      lastWriteSet: this.lastWriteSet,
      logSize: journal?.size ?? 0,
      logOrigin: config.logOrigin,
      logKey: journal?.vkey ?? '',
      dev: config.dev,
      lifecycleNow: core?.clocks.lifecycle() ?? Date.now(),
      keys: core?.book.live('key') ?? 0,
      maxEncryptions: this.#counterLimits.most,
      renewAfter: this.#counterLimits.renewAfter,
      warnings: [
        ...warnings,
        ...(journal?.lowOnSpace === true ? ['free space is below the floor: uses are refused, revoking works'] : []),
        ...tokenWarnings(core?.tokens ?? this.#parts.tokens),
        ...(this.#renewal?.warnings() ?? []),
        ...(core?.rotation.warnings() ?? []),
      ],
    }
  }

  /** Finishes what is under way, makes all durable, and closes. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#ceremonies.end()
    const core = this.#core
    await this.#scanner?.stop()
    await this.#renewal?.stop()
    await core?.rotation.stop()
    if (core === undefined || this.dead) {
      await closeTokens(this.#parts.tokens)
      return
    }
    await core.book.record({ ...baseFields(core, 'stop', ownCall(), undefined), outcome: 'allowed' })
    await core.book.journal.close()
    await core.clusters.close()
    await closeTokens(core.tokens)
  }
}

const closeTokens = (tokens: ReadonlyMap<string, Token>) =>
  Promise.all([...tokens.values()].map(token => token.close()))

/** A sentence for each token that is not there. */
function tokenWarnings(tokens: ReadonlyMap<string, Token>): string[] {
  return [...tokens]
    .map(([name, token]) => [name, token.status()] as const)
    .filter(([, { state }]) => state !== 'open')
    .map(([name, { state, detail }]) => `the token${name === '' ? '' : ` ${name}`} is ${state}: ${detail}`)
}

/** Reserves encryptions of a version, durably. */
async function reserve(core: Core, id: string, to: number): Promise<void> {
  const row = nextRow(core, {
    kind: 'counter',
    id,
    scope: id.slice(0, id.indexOf('/')),
    link: id.slice(0, id.lastIndexOf('#')),
    body: encodeCounter(to),
  })
  const fields = baseFields(core, 'reserveEncryptions', ownCall(), undefined)
  await core.book.commit({ ...fields, outcome: 'allowed', keyId: row.link, count: to }, [row])
}
