/** What a session token holds, as bytes: docs/formats/session-token.md, "Body". The boundary seals it and does not read it. */
import { FormatError, Reader, Writer } from '../../boundary/bytes.ts'
import { Secret } from '../../store/secret.ts'

/** A tag of a session, and whether it stays through role chaining. */
export interface SessionTag {
  readonly key: string
  readonly value: string
  readonly transitive: boolean
}

export interface SessionBody {
  /** `role`: of AssumeRole. `principal`: of GetSessionToken, for a user or an account's root. */
  readonly kind: 'role' | 'principal'
  /** `ASIA…` */
  readonly accessKeyId: string
  /** 40 characters of ASCII. */
  readonly secret: Secret
  /** ARN of the role, user or root. */
  readonly principal: string
  /** `AROA…`, `AIDA…`, or the account: a principal that was made again is another. */
  readonly uniqueId: string
  /** Of a role's session; else empty. */
  readonly sessionName: string
  /** Kind `principal`: the long-term access key with which the session was begun; else empty. */
  readonly accessKey: string
  /** Milliseconds since 1970, real time. */
  readonly begun: number
  readonly sourceIdentity: string
  readonly tags: readonly SessionTag[]
  /** The session policy as it was given; empty for none. */
  readonly policy: string
}

const VERSION = 1
/** Room for any session, so that the writer leaves no copy of the secret behind. */
const WHOLE = 16_384
const KINDS = { role: 1, principal: 2 } as const

/** The caller wipes the bytes when they are sealed. */
export function writeSessionBody(session: SessionBody): Buffer {
  const writer = new Writer(WHOLE).u8(VERSION).u8(KINDS[session.kind]).string(session.accessKeyId)
  session.secret.reveal(bytes => writer.u16(bytes.length).raw(bytes))
  writer.string(session.principal).string(session.uniqueId).string(session.sessionName).string(session.accessKey)
  writer.u64(session.begun).string(session.sourceIdentity).u16(session.tags.length)
  const sorted = session.tags.toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
  for (const { key, value, transitive } of sorted) {
    writer.string(key).string(value)
    writer.u8(transitive ? 1 : 0)
  }
  return writer.long(Buffer.from(session.policy, 'utf8')).done()
}

/** Throws `FormatError` for what this version did not write. The caller wipes `bytes` afterwards. */
export function readSessionBody(bytes: Buffer): SessionBody {
  const reader = new Reader(bytes)
  if (reader.u8() !== VERSION) throw new FormatError('a session of unknown version')
  const code = reader.u8()
  const kind = code === KINDS.role ? 'role' : code === KINDS.principal ? 'principal' : undefined
  if (kind === undefined) throw new FormatError('a session of unknown kind')
  const accessKeyId = reader.string()
  const secret = new Secret(reader.short())
  const principal = reader.string()
  const uniqueId = reader.string()
  const sessionName = reader.string()
  const accessKey = reader.string()
  const begun = reader.u64()
  const sourceIdentity = reader.string()
  const tags = readTags(reader)
  const policy = reader.long().toString('utf8')
  reader.end()
  return {
    kind,
    accessKeyId,
    secret,
    principal,
    uniqueId,
    sessionName,
    accessKey,
    begun,
    sourceIdentity,
    tags,
    policy,
  }
}

function readTags(reader: Reader): SessionTag[] {
  const tags: SessionTag[] = []
  for (let left = reader.u16(); left > 0; left--) {
    const key = reader.string()
    const value = reader.string()
    const transitive = reader.u8()
    if (transitive > 1) throw new FormatError('a flag must be 0 or 1')
    tags.push({ key, value, transitive: transitive === 1 })
  }
  return tags
}
