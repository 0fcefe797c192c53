/**
 * What a newer holdfast has written is refused by name: which file, which version it has, which this program knows, and what to do. In a real folder, one
 * format after the other gets the next version, and the real program is started on it.
 */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { connectControl } from '../src/boundary/client/control.ts'
import { encodeRow, encodeRows, tagRow } from '../src/boundary/crypto/rows.ts'
import { realDisk } from '../src/boundary/journal/disk.ts'
import { encodeHeader, HEADER_BYTES, parseHeader } from '../src/boundary/journal/frame.ts'
import { openJournal } from '../src/boundary/journal/journal.ts'
import { segmentName } from '../src/boundary/journal/segments.ts'
import { encodeRecord, RECORD_VERSION } from '../src/boundary/record.ts'
import { openKeyFile } from '../src/boundary/root/keyfile.ts'
import { type OpenedRoot, openRoot, parseRootFile } from '../src/boundary/root/rootfile.ts'
import type { Row } from '../src/boundary/words.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { startService } from './support/ekm-service.ts'
import { ApiClient, StartFailed, startKms } from './support/kms.ts'

const folders: string[] = []
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-versions-'))
  folders.push(folder)
  return folder
}

/** A folder of the real program, with a key in it. */
let made: string
const plaintext = Buffer.from('kept').toString('base64')
let message: string
before(async () => {
  made = newFolder()
  const kms = await startKms(['--data', made])
  const client = new ApiClient(kms.line.endpoint, kms.line)
  const { KeyId } = (await client.ok('CreateKey')).KeyMetadata
  message = (await client.ok('Encrypt', { KeyId, Plaintext: plaintext })).CiphertextBlob
  await kms.stop()
})

/** Adds one to the byte at `at`. */
function next(file: string, at: number): void {
  const bytes = readFileSync(file)
  bytes[at] = (bytes[at] ?? 0) + 1
  writeFileSync(file, bytes)
}

const boundaryFile = (data: string, ...names: string[]): string => join(data, 'boundary', ...names)
const lastSegment = (data: string): string =>
  boundaryFile(data, 'journal', readdirSync(boundaryFile(data, 'journal')).sort().at(-1) ?? '')

async function rootOf(data: string): Promise<OpenedRoot> {
  return openRoot(await openKeyFile(join(data, 'root.key')), parseRootFile(readFileSync(boundaryFile(data, 'root'))))
}

/** Writes a frame with everything that makes one authentic, as a later version of the boundary would. */
async function append(data: string, record: Buffer, rows?: Buffer): Promise<void> {
  const { file, keyring, logKey } = await rootOf(data)
  const journal = await openJournal(
    {
      dir: join(data, 'boundary'),
      disk: realDisk,
      boundaryId: file.boundaryId,
      keys: file.generations.map(({ generation, firstRecord }) => ({
        firstRecord,
        writeSet: keyring.key('write-set', generation),
        snapshot: keyring.key('snapshot', generation),
      })),
      signer: logKey,
      origin: readFileSync(join(data, 'log-origin'), 'utf8').trim(),
      now: Date.now,
      onFatal: error => {
        throw error
      },
      // Of no form that there is: it is passed over.
      state: () => Buffer.alloc(1),
      restore: () => false,
    },
    () => {},
  )
  await journal.append(record, rows)
  await journal.close()
}

const record = encodeRecord({ boundaryOperation: 'createKey', source: 'use', outcome: 'allowed' })

/** The key's row under another id and with another body. */
async function rowWith(data: string, change: (body: Buffer) => void): Promise<Row> {
  const store = await openSqliteStore({ file: join(data, 'front-end', 'store.db'), readOnly: true })
  const [row] = await store.listAll('key', { after: '', limit: 1 })
  await store.close()
  assert.ok(row?.body)
  const body = Buffer.from(row.body)
  change(body)
  return tagRow((await rootOf(data)).keyring, { ...row, id: `${row.id}x`, revision: 1, body })
}

/** The list of rows with the byte at `at` one higher: 0 is the list's version, 5 that of its first row. */
function rows(row: Row, at?: number): Buffer {
  const encoded = encodeRows([row])
  assert.ok(encoded.subarray(5).equals(encodeRow(row)))
  if (at !== undefined) encoded[at] = (encoded[at] ?? 0) + 1
  return encoded
}

interface Format {
  readonly what: string
  readonly raise: (data: string) => void | Promise<void>
  /** The path that is named, below the data folder. */
  readonly file: RegExp
  readonly says: string
}

const SEGMENT = /boundary\/journal\/\d{20}\.seg/
const FORMATS: readonly Format[] = [
  {
    what: 'the root file',
    raise: data => next(boundaryFile(data, 'root'), 9),
    file: /boundary\/root/,
    says: 'the root file has version 3, and this program knows version 2',
  },
  {
    what: 'the root key file',
    raise: data => {
      const file = join(data, 'root.key')
      writeFileSync(file, readFileSync(file, 'utf8').replace('holdfast-root-1', 'holdfast-root-2'))
    },
    file: /root\.key/,
    says: 'has version 2, and this program knows version 1',
  },
  {
    what: 'a segment of the journal',
    raise: data => next(lastSegment(data), 9),
    file: SEGMENT,
    says: 'the segment has version 2, and this program knows version 1',
  },
  {
    what: 'a segment that holds nothing yet',
    raise: data => {
      const header = parseHeader(readFileSync(lastSegment(data)).subarray(0, HEADER_BYTES))
      const file = boundaryFile(data, 'journal', segmentName(1_000_000))
      writeFileSync(file, encodeHeader({ ...header, firstSeq: 1_000_000 }).bytes, { mode: 0o600 })
      next(file, 9)
    },
    file: SEGMENT,
    says: 'the segment has version 2, and this program knows version 1',
  },
  {
    what: 'a record',
    raise: data => append(data, Buffer.concat([Buffer.from([RECORD_VERSION + 1]), record.subarray(1)])),
    file: SEGMENT,
    says: 'a record has version 33, and this program knows version 32',
  },
  {
    what: 'a write set',
    raise: async data => append(data, record, rows(await rowWith(data, () => {}), 0)),
    file: SEGMENT,
    says: 'a list of rows has version 2, and this program knows version 1',
  },
  {
    what: 'a row',
    raise: async data => append(data, record, rows(await rowWith(data, () => {}), 5)),
    file: SEGMENT,
    says: 'a row has version 2, and this program knows version 1',
  },
  {
    what: 'a sealed key',
    raise: async data => append(data, record, rows(await rowWith(data, raiseTo(0, 3)))),
    file: SEGMENT,
    says: 'a sealed key has version 3, and this program knows version 2',
  },
  {
    what: 'the header of a key',
    raise: async data => append(data, record, rows(await rowWith(data, raiseTo(5, 3)))),
    file: SEGMENT,
    says: 'the header of a key has version 3, and this program knows version 2',
  },
  {
    what: 'the store',
    raise: data => {
      const database = new DatabaseSync(join(data, 'front-end', 'store.db'))
      database.exec("UPDATE meta SET value = value + 1 WHERE name = 'schema'")
      database.close()
    },
    file: /front-end\/store\.db/,
    says: 'its schema has version 2, and this program knows version 1',
  },
]

function raiseTo(at: number, version: number): (body: Buffer) => void {
  return body => {
    body[at] = version
  }
}

/** Every file but what a start may write before it looks at anything: the lock, and the store's side files. */
function bytesOf(data: string): Map<string, string> {
  const files = readdirSync(data, { recursive: true, encoding: 'utf8' }).filter(
    name => /(?:root|key|\.seg|checkpoint|\d)$/.test(name) && !name.includes('tile/') && !name.endsWith('.sock'),
  )
  return new Map(files.map(name => [name, readFileSync(join(data, name)).toString('base64')]))
}

describe('a later version is refused by name, and nothing of it is touched', () => {
  for (const { what, raise: raised, file, says } of FORMATS) {
    it(what, async () => {
      const data = newFolder()
      cpSync(made, data, { recursive: true })
      await raised(data)
      const untouched = bytesOf(data)
      await assert.rejects(startKms(['--data', data]), (error: unknown) => {
        assert.ok(error instanceof StartFailed)
        const told = error.stderr.trimEnd().split('\n').at(-1) ?? ''
        assert.match(told, file)
        assert.ok(told.includes(says), told)
        assert.match(told, /a newer holdfast made (?:it|this store): use that one, or a later one/)
        assert.equal(error.exitCode, 64, told)
        return true
      })
      if (what !== 'the store') assert.deepEqual(bytesOf(data), untouched)
    })
  }

  it('the description of a passphrase, when it is given', async () => {
    const folder = newFolder()
    const root = { boundary: { root: { kind: 'passphrase' as const } } }
    const unlock = async (data: string): Promise<void> => {
      const control = connectControl({ socket: boundaryFile(data, 'control.sock') })
      await control.unlock(Buffer.from('correct horse battery staple')).finally(() => control.close())
    }
    const first = await startService(folder, 'locked', root)
    await unlock(first.data)
    await first.stop()
    const file = boundaryFile(first.data, 'root')
    // Behind magic, version, id, service, mark, date and kind: the length, then the version.
    next(file, 39)
    const second = await startService(folder, 'locked', root)
    await assert.rejects(unlock(second.data), {
      message: `InvalidState: ${file}: the description of the passphrase has version 2, and this program knows version 1: a newer holdfast made it: use that one, or a later one`,
    })
    await second.stop()
  })

  it('the hello of a client, whatever else it would say', async () => {
    const data = newFolder()
    cpSync(made, data, { recursive: true })
    const kms = await startKms(['--data', data])
    const socket = connect(boundaryFile(data, 'control.sock'))
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    const closed = new Promise(resolve => socket.once('close', resolve))
    // u32 length, request 0, hello; magic, version, and something that version 99 may have besides.
    const hello = Buffer.concat([Buffer.from([0, 0, 0, 0, 0]), Buffer.from('HLDF'), Buffer.from([0, 99, 1, 2, 3])])
    socket.write(Buffer.concat([Buffer.from([0, 0, 0, hello.length]), hello]))
    await closed
    const answer = Buffer.concat(chunks).toString('latin1')
    assert.match(
      answer,
      /this boundary speaks version 3 of the protocol, not 99: use the holdfast that the service was started with/,
    )
    await kms.stop()
  })
})

it('a snapshot of a later version is passed over by name: it is never the truth, and the journal is read instead', async () => {
  const data = newFolder()
  cpSync(made, data, { recursive: true })
  for (const name of readdirSync(boundaryFile(data, 'snapshot'))) next(boundaryFile(data, 'snapshot', name), 9)
  const kms = await startKms(['--data', data])
  assert.match(
    kms.stderr,
    /a snapshot was passed over: \S+\.snap: it has version 2, and this program knows version 1: a newer holdfast made it/,
  )
  const client = new ApiClient(kms.line.endpoint, kms.line)
  assert.equal((await client.ok('Decrypt', { CiphertextBlob: message })).Plaintext, plaintext)
  await kms.stop()
  assert.ok(existsSync(boundaryFile(data, 'snapshot')))
})
