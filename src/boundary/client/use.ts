/**
 * The front end's side of the use socket. A use sends id, revision and digest of its key, and the sealed key too the first time on a connection;
 * where the boundary has not that key open all the same, the use is repeated once, with the sealed key.
 */
import { decodeRows } from '../crypto/rows.ts'
import { type Asserted, BoundaryError, type Row } from '../words.ts'
import type { BoundaryUse, OnWriteSet } from './api.ts'
import { Connection, type ConnectionState } from './connection.ts'
import { moreUses } from './more-uses.ts'
import type { InputOf, OperationName, OutputOf } from './protocol/operations.ts'
import { asAsserted, refTo, sentKeys } from './references.ts'

export interface ConnectUse {
  /** Path of `use.sock`. */
  readonly socket: string
  readonly onWriteSet: OnWriteSet
  /**
   * Told of every connection and every loss, with the reason. At `connected` its promise is awaited before write sets are handed on: fetch there, by
   * `writeSets`, what the store lacks. When it rejects the connection is given up and tried again. With `hello.locked` there is nothing to fetch: the
   * boundary ends the connection when it is unlocked.
   */
  readonly onState?: (state: ConnectionState) => void | Promise<void>
}

export type UseConnection = BoundaryUse & {
  readonly connected: boolean
  /** For good; what waits is rejected with Unavailable. */
  close(): void
}

/** Rows of one `checkRows` request: bytes, well below the largest frame. */
const CHECK_BYTES = 1 << 19
const CHECK_ROWS = 1024

/** Connects in the background and stays connected until `close`. */
export function connectUse(options: ConnectUse): UseConnection {
  const connection = new Connection({
    socket: options.socket,
    onWriteSet: options.onWriteSet,
    onState: state => {
      sentKeys.clear()
      return options.onState?.(state)
    },
  })
  connection.keepOpen()
  const ask = <N extends OperationName>(name: N, input: InputOf<N>): Promise<OutputOf<N>> =>
    connection.request(name, input)

  /** A use of one key, repeated once with the sealed key where the boundary asks for it. */
  const use = <N extends OperationName>(name: N, input: (whole: boolean) => InputOf<N>): Promise<OutputOf<N>> =>
    ask(name, input(false)).catch(error => {
      if (!(error instanceof BoundaryError) || error.code !== 'NeedSealedKey') throw error
      return ask(name, input(true))
    })
  const ofKey =
    <N extends 'enableKey' | 'disableKey' | 'cancelKeyDeletion' | 'rotateKeyOnDemand'>(name: N) =>
    async (id: string, asserted: Asserted) =>
      ask(name, { id, asserted: asAsserted(asserted) } as InputOf<N>)

  return {
    get connected() {
      return connection.connected
    },
    close: () => connection.close(),

    status: () => ask('status', undefined),
    writeSets: async (after, max) => {
      const { horizon, sets } = await ask('writeSets', { after, max })
      return { horizon, sets: sets.map(({ number, rows }) => ({ number, rows: decodeRows(rows) })) }
    },
    checkRows: async rows => {
      const answers: Promise<OutputOf<'checkRows'>>[] = []
      let part: Row[] = []
      let bytes = 0
      const send = () => {
        if (part.length > 0) answers.push(ask('checkRows', part))
        part = []
        bytes = 0
      }
      for (const row of rows) {
        const size = 256 + (row.body?.length ?? 0) + (row.id.length + row.scope.length + row.link.length) * 3
        if (part.length === CHECK_ROWS || (bytes + size > CHECK_BYTES && part.length > 0)) send()
        part.push(row)
        bytes += size
      }
      send()
      return (await Promise.all(answers)).flat()
    },
    openSecret: row => ask('openSecret', row),
    keyLastUsage: id => ask('keyLastUsage', id),
    markerKey: () => ask('markerKey', undefined),

    sealSession: async (body, expiresAt, asserted) =>
      ask('sealSession', { body, expiresAt, asserted: asAsserted(asserted) }),
    openSession: async (token, asserted) => ask('openSession', { token, asserted: asAsserted(asserted) }),

    encrypt: async (key, plaintext, context, asserted) => {
      const sent = asAsserted(asserted)
      return use('encrypt', whole => ({ key: refTo(key, whole), plaintext, context, asserted: sent }))
    },
    decrypt: async (key, message, context, asserted, recipient, dryRun = false) => {
      const sent = asAsserted(asserted)
      return use('decrypt', whole => ({ key: refTo(key, whole), message, context, dryRun, asserted: sent, recipient }))
    },
    reEncrypt: async (source, message, destination, asserted, dryRun = false) => {
      const sent = asAsserted(asserted)
      return use('reEncrypt', whole => ({
        source: { ...source, key: refTo(source.key, whole) },
        message,
        destination: { ...destination, key: refTo(destination.key, whole) },
        dryRun,
        asserted: sent,
      }))
    },
    generateDataKey: async (key, bytes, wantPlaintext, context, asserted, recipient) => {
      const sent = asAsserted(asserted)
      return use('generateDataKey', whole => ({
        key: refTo(key, whole),
        bytes,
        wantPlaintext,
        context,
        asserted: sent,
        recipient,
      }))
    },
    generateRandom: async (bytes, asserted, recipient) =>
      ask('generateRandom', { bytes, asserted: asAsserted(asserted), recipient }),
    ...moreUses(use),
    awaitDecision: (ask_, milliseconds) => ask('awaitDecision', { ask: ask_, milliseconds }),
    trip: async (target, rule, evidence, asserted) =>
      ask('trip', { target, rule, evidence, asserted: asAsserted(asserted) }),
    record: async entry => ask('record', { ...entry, asserted: asAsserted(entry.asserted) }),

    createKey: async (input, asserted) => ask('createKey', { input, asserted: asAsserted(asserted) }),
    enableKey: ofKey('enableKey'),
    disableKey: ofKey('disableKey'),
    cancelKeyDeletion: ofKey('cancelKeyDeletion'),
    rotateKeyOnDemand: ofKey('rotateKeyOnDemand'),
    scheduleKeyDeletion: async (id, pendingWindowDays, asserted) =>
      ask('scheduleKeyDeletion', { id, pendingWindowDays, asserted: asAsserted(asserted) }),
    putKeyPolicy: async (id, policy, asserted) => ask('putKeyPolicy', { id, policy, asserted: asAsserted(asserted) }),
    setKeyRotation: async (id, enabled, periodDays, asserted) =>
      ask('setKeyRotation', { id, enabled, periodDays, asserted: asAsserted(asserted) }),
    replicateKey: async (id, input, asserted) => ask('replicateKey', { id, input, asserted: asAsserted(asserted) }),
    updatePrimaryRegion: async (id, region, asserted) =>
      ask('updatePrimaryRegion', { id, region, asserted: asAsserted(asserted) }),
    importParameters: async (id, algorithm, modulusBits, asserted) =>
      ask('importParameters', { id, algorithm, modulusBits, asserted: asAsserted(asserted) }),
    importKeyMaterial: async (id, input, asserted) =>
      ask('importKeyMaterial', { id, input, asserted: asAsserted(asserted) }),
    deleteImportedKeyMaterial: async (id, materialId, asserted) =>
      ask('deleteImportedKeyMaterial', { id, materialId, asserted: asAsserted(asserted) }),
    putRows: async (rows, asserted) => ask('putRows', { rows, asserted: asAsserted(asserted) }),

    connectCluster: store => ask('connectCluster', { store }),
    disconnectCluster: store => ask('disconnectCluster', { store }),
    clusterRandom: async (store, bytes, asserted, recipient) =>
      ask('clusterRandom', { store, bytes, asserted: asAsserted(asserted), recipient }),

    externalEncrypt: async (key, plaintext, aad, integrity, asserted) => {
      const sent = asAsserted(asserted)
      return use('externalEncrypt', whole => ({ key: refTo(key, whole), plaintext, aad, integrity, asserted: sent }))
    },
    externalDecrypt: async (key, ciphertext, aad, asserted) => {
      const sent = asAsserted(asserted)
      return use('externalDecrypt', whole => ({ key: refTo(key, whole), ciphertext, aad, asserted: sent }))
    },
    selfTest: () => ask('selfTest', undefined),
  }
}
