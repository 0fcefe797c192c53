/** The log: the whole of it where that is asked for or soon done, else its newest segment. */
import { stat } from 'node:fs/promises'
import { UnknownVersion } from '../../boundary/bytes.ts'
import { segmentFiles } from '../../log/read.ts'
import { type VerifyReport, verifyFolder } from '../../log/verify.ts'
import { verifyNewest } from '../../log/verify-newest.ts'
import { type Finding, finding } from './findings.ts'
import type { Subject } from './subject.ts'

/** Bytes that are verified without being asked: a second or two. */
const SOON_BYTES = 64 * 2 ** 20

export interface LogSeen {
  readonly findings: Finding[]
  /** Of the newest record, milliseconds since 1970; 0 where there is none. */
  readonly lastTime: number
}

export async function checkLog(
  { boundary, data, full }: Subject,
  onProgress: (share: number) => void = () => {},
  soonBytes = SOON_BYTES,
): Promise<LogSeen> {
  const files = await segmentFiles(boundary).catch(() => [])
  if (files.length === 0) return { findings: [finding('log-empty', 'there is no record yet')], lastTime: 0 }
  const sizes = await Promise.all(files.map(async file => (await stat(file)).size))
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  const whole = full || bytes <= soonBytes
  let report: Pick<VerifyReport, 'bad' | 'entries' | 'lastTime'>
  try {
    report = whole
      ? await verifyFolder(boundary, {
          onProgress: ({ bytes: done, total }) => onProgress(total === 0 ? 1 : done / total),
        })
      : await verifyNewest(boundary)
  } catch (error) {
    if (!(error instanceof UnknownVersion)) throw error
    return { findings: [finding('log-newer', `it cannot be verified: ${error.message}`)], lastTime: 0 }
  }
  const { bad, entries, lastTime } = report
  if (bad !== undefined)
    return {
      findings: [finding('log-bad', `${bad.what}: ${bad.file}, byte ${bad.offset}, entry ${bad.seq}`, { data })],
      lastTime,
    }
  const seen = whole
    ? finding('log-verified', `all is as it was written; entries: ${entries}`)
    : finding(
        'log-newest',
        `of ${entries} entries those of the newest of ${files.length} segments are as they were written (all: --full)`,
      )
  return { findings: [seen], lastTime }
}
