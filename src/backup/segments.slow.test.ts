/** Chains over journals of many small segments, while they are written, after their writer was killed, and after their first segments were erased. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import fc from 'fast-check'
import { realDisk } from '../boundary/journal/disk.ts'
import { Ledger } from '../boundary/journal/testing.ts'
import type { Journal } from '../boundary/journal/types.ts'
import { createKeyFile, openKeyFile } from '../boundary/root/keyfile.ts'
import { makeRoot, type OpenedRoot } from '../boundary/root/rootfile.ts'
import { verifyFolder } from '../log/verify.ts'
import { openIdentities, openRecipients } from './age.ts'
import { backUpTo } from './backup.ts'
import { chainTo } from './chain.ts'
import { JournalSource } from './journal.ts'
import type { Live } from './live.ts'
import { Content, fullSource } from './make.ts'
import { NOWHERE, readChain } from './read.ts'
import { restore } from './restore.ts'
import { Staging } from './staging.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-chains-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const identityFile = join(folder, 'identity.txt')
const identity = await generateX25519Identity()
writeFileSync(identityFile, `# made for a test\n${identity}\n`)
const recipient = await identityToRecipient(identity)
const progress = { onProgress: () => {} }

interface World {
  readonly data: string
  readonly root: OpenedRoot
  open(): Promise<Ledger>
}

let worlds = 0
/** A data folder with a root of its own and a journal of segments of 700 bytes. */
async function world(): Promise<World> {
  const data = join(folder, `world-${worlds++}`)
  const dir = join(data, 'boundary')
  mkdirSync(dir, { recursive: true })
  const keyFile = join(data, 'root.key')
  await createKeyFile(keyFile)
  const made = await makeRoot(await openKeyFile(keyFile), { service: 'kms', dev: true, now: 1_700_000_000_000 })
  writeFileSync(join(dir, 'root'), made.bytes, { mode: 0o600 })
  const { file, logKey } = made.opened
  return {
    data,
    root: made.opened,
    open: () => Ledger.open(realDisk, dir, { boundaryId: file.boundaryId, signer: logKey }),
  }
}

async function grow(ledger: Ledger, records: number): Promise<void> {
  for (let n = 0; n < records; n++)
    await ledger.append(`record ${ledger.journal.size} ${'x'.repeat(n % 90)}`, n % 4 === 0 ? `rows ${n}` : undefined)
}

const journalOf = (data: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(join(data, 'boundary', 'journal')).map(name => [
      name,
      readFileSync(join(data, 'boundary', 'journal', name), 'hex'),
    ]),
  )

/** A service that is written by this process. */
const liveOf = ({ root }: World, journal: Journal): Live => ({
  isRunning: true,
  root: root.file,
  async signed() {
    const place = await journal.signedPlace()
    return { ...place, covers: place.size }
  },
  close: () => {},
})

test('full and increments over any numbers of records: what is put back is the journal, byte for byte, at every file', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 5 }),
      fc.nat({ max: 90 }),
      async (rounds, torn) => {
        const { data, open } = await world()
        const backups = join(data, 'backups')
        const journals: Record<string, string>[] = []
        for (const records of rounds) {
          const ledger = await open()
          await grow(ledger, records)
          await ledger.journal.close()
          journals.push(journalOf(data))
          // What a batch that was never finished leaves is in no backup.
          const last =
            readdirSync(join(data, 'boundary', 'journal'))
              .sort()
              .at(-1) ?? ''
          appendFileSync(
            join(data, 'boundary', 'journal', last),
            Buffer.concat([Buffer.from('HFR1'), Buffer.alloc(torn)]),
          )
          const encrypter = openRecipients([recipient], [])
          const made = await backUpTo(backups, { data, encrypter, full: false, config: undefined, ...progress })
          assert.equal(made.kind, journals.length === 1 ? 'full' : 'increment', made.reason)
        }
        for (const [index, journal] of journals.entries()) {
          const to = join(data, `restored-${index}`)
          const decrypter = openIdentities([identityFile])
          const root = join(data, 'boundary', 'root')
          // What a restore that was killed has left is in nobody's way.
          mkdirSync(join(to, 'restore.new', 'boundary'), { recursive: true })
          await restore({ from: backups, at: index + 1, decrypter, root, data: to, intoExisting: false, ...progress })
          assert.deepEqual(journalOf(to), journal)
          assert.ok(!existsSync(join(to, 'restore.new')))
        }
      },
    ),
    { numRuns: 8 },
  )
})

test('while it is written: each file ends with a checkpoint of all that was durable when it was asked for', async () => {
  const here = await world()
  const ledger = await here.open()
  await grow(ledger, 20)
  const live = liveOf(here, ledger.journal)
  const boundary = join(here.data, 'boundary')
  const { from, source } = await fullSource(boundary, here.root.file.boundaryId)
  const content = new Content({
    data: here.data,
    live,
    kind: 'full',
    number: 1,
    previous: Buffer.alloc(32),
    source,
    from,
    config: undefined,
    ...progress,
  })
  let writing = true
  const load = (async () => {
    while (writing) await grow(ledger, 7)
  })()
  const file = join(here.data, 'whole.age')
  const encrypter = new Encrypter()
  encrypter.addRecipient(recipient)
  for await (const chunk of content.encrypted(encrypter)) {
    appendFileSync(file, chunk)
    await grow(ledger, 3)
  }
  writing = false
  await load
  const chain = await chainTo(file, undefined)
  const read = await readChain(chain, { decrypter: openIdentities([identityFile]), target: NOWHERE, ...progress })
  assert.equal(read.checkpoint.size, read.end.to.size)
  assert.ok(read.end.to.size >= 20 && read.end.to.size < ledger.journal.size)
  await ledger.journal.close()
})

test('where the first segments were erased, the tiles before come along, and the tree goes on', async () => {
  const here = await world()
  const ledger = await here.open()
  await grow(ledger, 700)
  await ledger.journal.checkpoint()
  const boundary = join(here.data, 'boundary')
  const journal = join(boundary, 'journal')
  const names = readdirSync(journal).sort()
  for (const name of names.slice(0, names.length / 2)) rmSync(join(journal, name))
  const { from, source } = await fullSource(boundary, here.root.file.boundaryId)
  assert.ok(from.size > 256)
  const content = new Content({
    data: here.data,
    live: liveOf(here, ledger.journal),
    kind: 'full',
    number: 1,
    previous: Buffer.alloc(32),
    source,
    from,
    config: undefined,
    ...progress,
  })
  const to = join(here.data, 'restored')
  mkdirSync(to)
  const staging = await Staging.begin(to)
  const input = { name: 'a stream', file: undefined, open: () => content.encrypted(openRecipients([recipient], [])) }
  const read = await readChain([input], { decrypter: openIdentities([identityFile]), target: staging, ...progress })
  await staging.finish()
  assert.deepEqual([read.end.to.size, read.end.to.root], [700, (await ledger.journal.signedPlace()).root])
  // Every full tile is there as it was, those of erased records among them.
  const tiles = (at: string) =>
    readdirSync(join(at, 'tile'), { recursive: true, encoding: 'utf8' })
      .filter(name => /\/\d{3}$/.test(name))
      .sort()
  const full = tiles(boundary)
  assert.ok(full.length >= 4)
  assert.deepEqual(tiles(staging.boundary), full)
  for (const name of full)
    assert.deepEqual(
      readFileSync(join(staging.boundary, 'tile', name)),
      readFileSync(join(boundary, 'tile', name)),
      name,
    )
  // And an increment goes on from there.
  await grow(ledger, 50)
  const next = await JournalSource.open(boundary, here.root.file.boundaryId, read.end.to)
  let bytes = 0
  const place = await ledger.journal.signedPlace()
  for await (const piece of next.upTo(place)) bytes += piece.bytes.length
  assert.ok(bytes > 0)
  assert.deepEqual(next.checker.place.root, place.root)
  await ledger.journal.close()
})

test('a journal whose segment is erased while it is copied: said so, and to be run again', async () => {
  const here = await world()
  const ledger = await here.open()
  await grow(ledger, 100)
  const boundary = join(here.data, 'boundary')
  const place = await ledger.journal.signedPlace()
  const { source } = await fullSource(boundary, here.root.file.boundaryId)
  const journal = join(boundary, 'journal')
  await assert.rejects(
    (async () => {
      for await (const _ of source.upTo(place)) for (const name of readdirSync(journal)) rmSync(join(journal, name))
    })(),
    /was erased meanwhile; run the backup again/,
  )
  await ledger.journal.close()
  assert.ok((await verifyFolder(boundary)).bad !== undefined)
})
