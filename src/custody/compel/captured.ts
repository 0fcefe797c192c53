/** Requests that the provider captured while the owner still answered them: kept in the backup, for the replay. They hold a signature and no key. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import type { SignedRequest } from './proxy.ts'

const captured = z.record(
  z.string(),
  z.object({ path: z.string(), headers: z.record(z.string(), z.string()), body: z.base64() }),
)

/** By the SHA-256 of the encrypted data key. */
export type Captured = ReadonlyMap<string, SignedRequest>

export async function writeCaptured(file: string, requests: Captured): Promise<void> {
  const entries = [...requests].map(([id, { path, headers, body }]) => [
    id,
    { path, headers, body: body.toString('base64') },
  ])
  await writeFile(`${file}.part`, JSON.stringify(Object.fromEntries(entries)), { mode: 0o600 })
  await rename(`${file}.part`, file)
}

export async function readCaptured(file: string): Promise<Captured> {
  const requests = captured.parse(JSON.parse(await readFile(file, 'utf8')))
  return new Map(
    Object.entries(requests).map(([id, request]) => [id, { ...request, body: Buffer.from(request.body, 'base64') }]),
  )
}
