/** The demo's data: which files, their SHA-256 as their owner takes it, and their way into the data service. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CustodyPlan, FilePlan } from '../plan.ts'

export interface SourceFile {
  readonly name: string
  readonly path: string
  readonly bytes: number
}

/** At most this many files are read and attacked; a larger folder is stored whole. */
export const SAMPLE = 24
/** Every so many files one is never read before the revocation: the control group. */
const CONTROL_EVERY = 4

/** The files under a folder, in order of name; links and what is no file are passed over. */
export async function filesUnder(folder: string): Promise<SourceFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files: SourceFile[] = []
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files.push({ name: relative(folder, path).split(sep).join('/'), path, bytes: (await stat(path)).size })
  }
  return files.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What is stored by default: the project's own documentation. */
export async function documentation(root: string): Promise<SourceFile[]> {
  const readme = join(root, 'README.md')
  const docs = await filesUnder(join(root, 'docs'))
  return [
    { name: 'README.md', path: readme, bytes: (await stat(readme)).size },
    ...docs.map(file => ({ ...file, name: `docs/${file.name}` })),
  ]
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Names the service can hold: it refuses what is no plain relative path. */
function storable({ name }: SourceFile): boolean {
  return name.length <= 1024 && name.split('/').every(part => part !== '' && part.length <= 200)
}

/** Stores files in buckets, a few at a time. `progress` is told of bytes that have arrived, over all buckets together. */
export async function store(
  service: Pick<CustodyPlan['dataService'], 'endpoint' | 'token'>,
  buckets: readonly string[],
  files: readonly SourceFile[],
  progress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const jobs = buckets.flatMap(bucket => files.filter(storable).map(file => ({ bucket, file })))
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      signal.throwIfAborted()
      const { bucket, file } = job
      const counted = async function* (): AsyncGenerator<Buffer> {
        for await (const chunk of createReadStream(file.path)) {
          yield chunk as Buffer
          progress((chunk as Buffer).length)
        }
      }
      const path = file.name.split('/').map(encodeURIComponent).join('/')
      const response = await fetch(`${service.endpoint}/v1/${bucket}/${path}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${service.token}` },
        body: Readable.toWeb(Readable.from(counted())) as ReadableStream,
        duplex: 'half',
        signal,
      } as RequestInit)
      const answer = (await response.json()) as { error?: string; message?: string }
      if (!response.ok) throw new Error(`storing ${file.name} in ${bucket}: ${answer.error} ${answer.message ?? ''}`)
    }
  }
  await Promise.all(Array.from({ length: 4 }, work))
}

/** The files that are read and attacked: all, or a sample spread over a large folder. Their SHA-256 is taken from the originals. */
export async function sample(files: readonly SourceFile[]): Promise<FilePlan[]> {
  const usable = files.filter(storable)
  const step = Math.max(1, usable.length / SAMPLE)
  const chosen = Array.from({ length: Math.min(SAMPLE, usable.length) }, (_, index) => usable[Math.floor(index * step)])
  const plans: FilePlan[] = []
  for (const [index, file] of chosen.entries()) {
    if (file === undefined) continue
    const { name, path, bytes } = file
    plans.push({ name, bytes, sha256: await sha256(path), read: index % CONTROL_EVERY !== CONTROL_EVERY - 1 })
  }
  return plans
}
