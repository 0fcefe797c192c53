/**
 * The settings that both services have. Every one has a default or a reason to be asked for, and a description that the documentation is printed from.
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import { isLoopback } from './loopback.ts'

/** Only over zod's own type: what a name in a setting is. */
const HOST = /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/

export const file = () => z.string().min(1).meta({ names: 'file' })
export const secretFile = () => z.string().min(1).meta({ names: 'secret-file' })
export const folder = () => z.string().min(1).meta({ names: 'folder' })
export const host = () =>
  z.string().refine(text => isIP(text) !== 0 || HOST.test(text), { error: 'must be an IP address or a host name' })
export const port = () => z.int().min(0).max(65535)
const milliseconds = () => z.int().min(1).max(86_400_000)
const bytes = () => z.int().min(1).max(Number.MAX_SAFE_INTEGER)

export const ROOT_LABEL = 'holdfast-root'

export const dataFolder = folder().describe(
  'folder of everything that the service keeps: boundary, log, store, sockets',
)

export const limits = z
  .strictObject({
    bodyBytes: bytes()
      .max(16 * 1024 * 1024)
      .default(1024 * 1024)
      .describe('largest request body; larger ones are refused before they are read'),
    headerBytes: bytes()
      .min(1024)
      .max(65_536)
      .default(16 * 1024)
      .describe('all header lines of a request together'),
    headerCount: z.int().min(8).max(1000).default(64).describe('header lines of a request'),
    headersMs: milliseconds().default(10_000).describe('time to send the headers'),
    requestMs: milliseconds().default(30_000).describe('time to send the whole request'),
    idleMs: milliseconds().default(65_000).describe('rest of a kept-alive connection'),
    connections: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(4096)
      .describe('open connections; further ones are closed at once'),
    inFlight: z
      .int()
      .min(1)
      .max(100_000)
      .default(1024)
      .describe('requests under way; further ones are told to come back'),
  })
  .prefault({})
  .describe('bounds of what strangers may send')

export const clients = z
  .strictObject({
    caFile: file().describe('PEM file of the only roots that client certificates may chain to'),
    subjects: z
      .array(z.string().min(1).max(256))
      .default([])
      .describe('CN, DNS name or URI of the certificates admitted, exactly; empty: every name under the root'),
  })
  .describe('ask for client certificates and serve nobody else')

export const tls = z
  .strictObject({
    certificateFile: file().describe('PEM file: certificate, then its intermediates'),
    keyFile: secretFile().describe('PEM file of its private key, mode 0600'),
    clients: clients.optional(),
  })
  .describe('HTTPS; without it the service speaks plain HTTP, on loopback only')

export const operations = z
  .strictObject({
    host: host()
      .refine(isLoopback, { error: 'must be loopback' })
      .default('127.0.0.1')
      .describe('loopback address for metrics and health'),
    port: port().default(0).describe('port for /metrics, /health/live and /health/ready; 0 takes a free one'),
  })
  .prefault({})
  .describe('metrics and health for the operator')

export const logging = z
  .strictObject({
    level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug'])
      .default('info')
      .describe('least severe lines that are written to stderr'),
  })
  .prefault({})
  .describe("the operator's log")

const keyfileRoot = z.strictObject({
  kind: z.literal('keyfile').describe('what opens the boundary'),
  file: z
    .string()
    .min(1)
    .meta({ names: 'new-secret-file' })
    .describe('32 random bytes, mode 0600; made at the first start'),
})
const passphraseRoot = z.strictObject({ kind: z.literal('passphrase').describe('what opens the boundary') })
/** Shares are made with `holdfast root split`, of a boundary that is there. */
const sharesRoot = z.strictObject({ kind: z.literal('shares').describe('what opens the boundary') })
/** Which PKCS#11 token. */
const tokenName = {
  module: file().describe('PKCS#11 module of the vendor'),
  tokenLabel: z.string().min(1).max(32).optional().describe('label of the token'),
  tokenSlot: z.int().min(0).optional().describe('slot of the token, where labels are not unique'),
} as const

/** How it is called. */
const tokenCalls = {
  sessions: z.int().min(1).max(64).optional().describe('sessions with the token; default: 8'),
  deadlineMs: milliseconds().optional().describe('how long the token may take for one call; default: 200'),
  calls: z
    .enum(['sync', 'async'])
    .optional()
    .describe(
      'sync for tokens in software, async for those behind a network; default: sync for SoftHSM, async for all others',
    ),
} as const

/** How it differs from the standard; never guessed. */
const tokenCapabilities = {
  tokenMakesIv: z
    .boolean()
    .optional()
    .describe('the token makes the IV of AES-GCM itself and writes it into the mechanism; default: false'),
  zeroIvRequired: z
    .boolean()
    .optional()
    .describe('such a token wants 12 zero bytes in the place of the IV that it makes; default: false'),
  invalidCiphertext: z
    .array(z.int().min(1).max(0xffff_ffff))
    .max(16)
    .optional()
    .describe("further return values of C_Decrypt that mean on this token that a ciphertext is not the key's"),
} as const

/** Where its PIN comes from. */
const tokenPin = {
  pinFile: secretFile().optional().describe('file with the user PIN, mode 0600'),
  pinEnv: z
    .string()
    .regex(/^[A-Z_][A-Z0-9_]*$/, { error: 'must be the name of an environment variable' })
    .optional()
    .describe('environment variable with the user PIN'),
} as const

/** A token of an owner's keys besides that of the root. */
const namedToken = z.strictObject({ ...tokenName, ...tokenPin, ...tokenCalls, ...tokenCapabilities })

/** How any PKCS#11 token is reached. */
export const tokenAccess = { ...tokenName, ...tokenCalls } as const

const tokenRoot = z.strictObject({
  kind: z.literal('pkcs11').describe('what opens the boundary'),
  ...tokenName,
  ...tokenPin,
  rootLabel: z
    .string()
    .min(1)
    .max(64)
    .default(ROOT_LABEL)
    .describe('label of the root key in the token; made at the first start'),
  ...tokenCalls,
  ...tokenCapabilities,
})

export const boundary = z
  .strictObject({
    root: z
      .discriminatedUnion('kind', [keyfileRoot, passphraseRoot, tokenRoot, sharesRoot])
      .describe('root of trust: keyfile, passphrase, pkcs11 or shares'),
    users: z
      .strictObject({
        frontEnd: z.string().min(1).max(64).describe('user that the front end runs as'),
        boundary: z.string().min(1).max(64).describe('user that the boundary runs as'),
        admin: z.string().min(1).max(64).optional().describe('user that the admin API of an owner runs as'),
      })
      .optional()
      .describe('run front end and boundary, and the admin API, as users of their own; needs a start as root'),
    openKeys: z.int().min(16).optional().describe('sealed keys that the boundary holds open; default: 100000'),
    floorBytes: bytes()
      .optional()
      .describe('free space below which uses are refused; revoking still works; default: 67108864'),
  })
  .describe('the process that holds key material')

/** An owner's: its keys may be in further tokens. */
export const ownersBoundary = boundary
  .extend({
    tokens: z
      .record(
        z.string().regex(/^(?!id$|label$)[a-z][a-z0-9-]{0,31}$/, {
          error: 'must begin with a letter and have lower-case letters, digits and "-", at most 32',
        }),
        namedToken,
      )
      .default({})
      .describe('PKCS#11 tokens that keys may be in, besides the one of the root, each under a name of its own'),
    maxEncryptions: z
      .int()
      .min(2)
      .max(2 ** 31)
      .default(2 ** 31)
      .describe('encryptions with AES-GCM under one version of a key; beyond it they are refused'),
    renewAfter: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .optional()
      .describe('encryptions after which a key gets its next version by itself; default: a half of maxEncryptions'),
  })
  .describe('the process that holds key material')

export const log = z
  .strictObject({
    origin: z
      .string()
      .regex(/^[\x21-\x2a\x2c-\x7e]{1,255}$/, { error: 'must be printable, without spaces or "+"' })
      .optional()
      .describe(
        "name of the log in its checkpoints, for example kms.example.com/log; default: made from the boundary's id",
      ),
  })
  .prefault({})
  .describe('the record of every operation')

export const cache = z
  .strictObject({
    bytes: bytes()
      .min(1024 * 1024)
      .default(112 * 1024 * 1024)
      .describe('memory of the front end for verified rows'),
    secrets: z
      .int()
      .min(16)
      .max(1_000_000)
      .default(10_000)
      .describe('opened credentials held in memory, and as many sessions'),
  })
  .prefault({})
  .describe('what the front end holds in memory')

/** Megabytes of JavaScript objects of a front end with this cache: about half of a cached row is objects, and the rest is room for requests. */
export function heapMegabytes({ bytes }: { readonly bytes: number }): number {
  return 400 + Math.ceil(bytes / 2 ** 20)
}

export type RootSettings = z.output<typeof boundary>['root']

/** The next version comes before the bound of the last one. */
export const checkRenewal = ({
  maxEncryptions,
  renewAfter,
}: z.output<typeof ownersBoundary>): { path: string; message: string }[] =>
  renewAfter === undefined || renewAfter < maxEncryptions
    ? []
    : [{ path: 'boundary.renewAfter', message: 'must be below boundary.maxEncryptions' }]

/** What a root needs beyond its fields. */
export function checkRoot(root: RootSettings): { path: string; message: string }[] {
  return root.kind === 'pkcs11' ? checkTokenWithPin('boundary.root', root) : []
}

type TokenSettings = z.output<typeof namedToken>

const checkTokenWithPin = (path: string, token: TokenSettings): { path: string; message: string }[] => [
  ...checkToken(path, token),
  ...either(`${path}.pinFile`, token.pinFile, token.pinEnv, 'pinFile or pinEnv'),
]

/** What an owner's tokens need beyond their fields. */
export const checkTokens = (tokens: Readonly<Record<string, TokenSettings>>): { path: string; message: string }[] =>
  Object.entries(tokens).flatMap(([name, token]) => checkTokenWithPin(`boundary.tokens.${name}`, token))

/** A token is named by its label or by its slot. */
export const checkToken = (
  path: string,
  token: { readonly tokenLabel?: string | undefined; readonly tokenSlot?: number | undefined },
): { path: string; message: string }[] =>
  either(`${path}.tokenLabel`, token.tokenLabel, token.tokenSlot, 'tokenLabel or tokenSlot')

const either = (path: string, a: unknown, b: unknown, names: string): { path: string; message: string }[] =>
  (a === undefined) === (b === undefined) ? [{ path, message: `give either ${names}` }] : []

/** Plain HTTP is for loopback. `path` is that of the listener's section. */
export function checkListen(
  path: string,
  listen: { host: string; tls?: unknown },
): { path: string; message: string }[] {
  if (listen.tls !== undefined || isLoopback(listen.host)) return []
  return [{ path: `${path}.host`, message: `is not loopback: set ${path}.tls, or listen on 127.0.0.1` }]
}

export type RootConfig =
  | { readonly kind: 'keyfile'; readonly file: string }
  | { readonly kind: 'passphrase' }
  | { readonly kind: 'shares' }
  | ({
      readonly kind: 'pkcs11'
      readonly module: string
      readonly token: { readonly label: string } | { readonly slot: number }
      readonly pin: { readonly file: string } | { readonly environment: string }
      readonly rootLabel: string
    } & TokenCalls)

interface TokenCalls {
  readonly sessions?: number
  readonly deadlineMs?: number
  readonly calls?: 'sync' | 'async'
  readonly capabilities?: {
    readonly tokenMakesIv?: boolean
    readonly zeroIvRequired?: boolean
    readonly invalidCiphertext?: readonly number[]
  }
}

/** A token's settings in the form that the boundary is started with. */
export function tokenConfig(token: {
  readonly module: string
  readonly tokenLabel?: string | undefined
  readonly tokenSlot?: number | undefined
  readonly sessions?: number | undefined
  readonly deadlineMs?: number | undefined
  readonly calls?: 'sync' | 'async' | undefined
}) {
  const { module, tokenLabel, tokenSlot, sessions, deadlineMs, calls } = token
  return {
    module,
    token: tokenLabel === undefined ? { slot: tokenSlot ?? 0 } : { label: tokenLabel },
    ...(sessions === undefined ? {} : { sessions }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(calls === undefined ? {} : { calls }),
  }
}

/** How a token differs from the standard, in the form that the boundary is started with. */
function capabilitiesConfig({ tokenMakesIv, zeroIvRequired, invalidCiphertext }: Partial<TokenSettings>) {
  const given = {
    ...(tokenMakesIv === undefined ? {} : { tokenMakesIv }),
    ...(zeroIvRequired === undefined ? {} : { zeroIvRequired }),
    ...(invalidCiphertext === undefined ? {} : { invalidCiphertext }),
  }
  return Object.keys(given).length === 0 ? {} : { capabilities: given }
}

const pinConfig = ({ pinFile, pinEnv }: TokenSettings) =>
  pinFile === undefined ? { environment: pinEnv ?? '' } : { file: pinFile }

/** The tokens of an owner's boundary, in the form that it is started with. */
export const namedTokens = (tokens: Readonly<Record<string, TokenSettings>>) =>
  Object.entries(tokens).map(([name, token]) => ({
    name,
    ...tokenConfig(token),
    pin: pinConfig(token),
    ...capabilitiesConfig(token),
  }))

/** The root's settings in the form that the boundary is started with. */
export function rootConfig(root: RootSettings): RootConfig {
  if (root.kind !== 'pkcs11') return root
  const { rootLabel } = root
  return { kind: 'pkcs11', ...tokenConfig(root), pin: pinConfig(root), rootLabel, ...capabilitiesConfig(root) }
}
