/** Codecs of what is said about the root: client/root.ts. */
import { FormatError } from '../../bytes.ts'
import type { NewTokenTrust, NewTrust, RootStatus } from '../root.ts'
import { bool, bytes, type Codec, list, oneOf, optional, struct, text, u32, u64 } from './codec.ts'

const PATH = 4096

/** One of two ways to name something. */
const where = <const N extends string>(a: N, b: N, max: number): Codec<{ kind: N; text: string }> =>
  struct({ kind: oneOf(a, b), text: text(max) })

const plainToken = struct({
  module: text(PATH),
  token: where('label', 'slot', 64),
  pin: where('file', 'environment', PATH),
  rootLabel: text(64),
  environment: list(struct({ name: text(64), value: text(PATH) }), 16),
  deadlineMs: optional(u32),
  calls: optional(oneOf('sync', 'async')),
  capabilities: optional(
    struct({
      tokenMakesIv: optional(bool),
      zeroIvRequired: optional(bool),
      invalidCiphertext: optional(list(u32, 16)),
    }),
  ),
})

const token: Codec<NewTokenTrust> = {
  name: plainToken.name,
  write: (w, { token: of, pin, ...rest }) =>
    plainToken.write(w, {
      module: rest.module,
      rootLabel: rest.rootLabel,
      environment: rest.environment,
      deadlineMs: rest.deadlineMs,
      calls: rest.calls,
      capabilities:
        rest.capabilities === undefined
          ? undefined
          : { tokenMakesIv: undefined, zeroIvRequired: undefined, invalidCiphertext: undefined, ...rest.capabilities },
      token: 'label' in of ? { kind: 'label', text: of.label } : { kind: 'slot', text: String(of.slot) },
      pin: 'file' in pin ? { kind: 'file', text: pin.file } : { kind: 'environment', text: pin.environment },
    }),
  read: r => {
    const { token: of, pin, ...rest } = plainToken.read(r)
    return {
      ...rest,
      token: of.kind === 'label' ? { label: of.text } : { slot: Number(of.text) },
      pin: pin.kind === 'file' ? { file: pin.text } : { environment: pin.text },
    }
  },
}

const flat = struct({
  kind: oneOf('keyfile', 'passphrase', 'pkcs11'),
  file: text(PATH),
  passphrase: bytes(1024),
  token: optional(token),
})

const NOTHING = Buffer.alloc(0)

export const newTrust: Codec<NewTrust | undefined> = optional({
  name: flat.name,
  write: (w, trust: NewTrust) =>
    flat.write(w, {
      kind: trust.kind,
      file: trust.kind === 'keyfile' ? trust.file : '',
      passphrase: trust.kind === 'passphrase' ? trust.passphrase : NOTHING,
      token: trust.kind === 'pkcs11' ? trust.token : undefined,
    }),
  read: (r): NewTrust => {
    const { kind, file, passphrase, token: given } = flat.read(r)
    if (kind === 'passphrase') return { kind, passphrase }
    if (kind === 'keyfile') return { kind, file }
    if (given === undefined) throw new FormatError('a root of trust in a token without the token')
    return { kind, token: given }
  },
})

export const rootStatus: Codec<RootStatus> = struct<RootStatus>({
  kind: oneOf('keyfile', 'passphrase', 'pkcs11', 'shares'),
  generations: list(struct({ generation: u32, createdAt: u64 }), 1 << 10),
  destroyed: u32,
  destroyedAt: u64,
  done: u64,
  total: u64,
  problem: text(2048),
  file: text(PATH),
})
