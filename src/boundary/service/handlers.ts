/**
 * Which function does which operation: every opcode of the table has one. Those of the boundary itself (status, unlock, stop, clock, ceremonies) are in boundary.ts.
 */
import type { InputOf, OperationName, OutputOf } from '../client/protocol/operations.ts'
import type { CeremonyOperation } from './ceremonies/operations.ts'
import type { Call, Core } from './core.ts'
import { deriveSharedSecret } from './operations/agreement.ts'
import { asymmetricDecrypt, asymmetricEncrypt } from './operations/asymmetric.ts'
import { clusterRandom, connectCluster, disconnectCluster } from './operations/cluster.ts'
import { createKey } from './operations/create.ts'
import { createExternalKey, externalEncrypt } from './operations/external.ts'
import { externalDecrypt } from './operations/external-decrypt.ts'
import { externalDigest, externalPrivateKey } from './operations/external-opened.ts'
import { rotateExternalKey } from './operations/external-rotation.ts'
import { externalUnwrap, externalWrap } from './operations/external-wrap.ts'
import { awaitDecision, decideAsk, listAsks } from './operations/holds.ts'
import { importKeyMaterial, importParameters } from './operations/import.ts'
import { decapsulate, encapsulate } from './operations/kem.ts'
import { keyLastUsage } from './operations/last-usage.ts'
import { generateMac, verifyMac } from './operations/mac.ts'
import { generateDataKeyPair } from './operations/pairs.ts'
import { reEncrypt } from './operations/re-encrypt.ts'
import { replicateKey, updatePrimaryRegion } from './operations/regions.ts'
import { deleteImportedKeyMaterial } from './operations/remove-material.ts'
import { restore, revoke, trip } from './operations/revoke.ts'
import { rootStatus, rotateRoot } from './operations/root.ts'
import { rotateKeyOnDemand, setKeyRotation } from './operations/rotation.ts'
import { checkRows, listRows, openSecret, putRows, record, writeSets } from './operations/rows.ts'
import { selfTest } from './operations/service.ts'
import { openSession, sealSession } from './operations/sessions.ts'
import { sign, verify } from './operations/sign.ts'
import { cancelKeyDeletion, disableKey, enableKey, putKeyPolicy, scheduleKeyDeletion } from './operations/state.ts'
import { decrypt, encrypt, generateDataKey, generateRandom } from './operations/uses.ts'
import { wrapForImport } from './operations/wrap.ts'

export type Handler<N extends OperationName> = (core: Core, input: InputOf<N>, call: Call) => Promise<OutputOf<N>>
export type OwnOperation = 'status' | 'unlock' | 'advanceClock' | 'stop' | CeremonyOperation

export const HANDLERS: { readonly [N in Exclude<OperationName, OwnOperation>]: Handler<N> } = {
  writeSets,
  checkRows,
  openSecret,
  record,
  putRows,
  getRow: (core, { kind, id }) => core.book.read(kind, id),
  listRows,
  keyLastUsage,
  markerKey: core => Promise.resolve(core.keyring.key('marker').export()),
  sealSession,
  openSession,
  encrypt,
  decrypt,
  reEncrypt,
  generateDataKey,
  generateRandom,
  externalEncrypt,
  externalDecrypt,
  externalWrap,
  externalUnwrap,
  externalDigest,
  externalPrivateKey,
  selfTest: (core, _input, call) => selfTest(core, call),
  createKey,
  enableKey,
  disableKey,
  scheduleKeyDeletion,
  cancelKeyDeletion,
  putKeyPolicy,
  setKeyRotation,
  rotateKeyOnDemand,
  importParameters,
  importKeyMaterial,
  deleteImportedKeyMaterial,
  replicateKey,
  updatePrimaryRegion,
  createExternalKey,
  rotateExternalKey,
  revoke,
  restore,
  trip,
  awaitDecision,
  listAsks,
  decideAsk,
  wrapForImport,
  connectCluster,
  disconnectCluster,
  clusterRandom,
  rotateRoot,
  rootStatus,
  sign,
  verify,
  generateMac,
  verifyMac,
  deriveSharedSecret,
  encapsulate,
  decapsulate,
  generateDataKeyPair,
  asymmetricEncrypt,
  asymmetricDecrypt,
}

/** Transitions that leave something due at once. */
export const LEAVES_DUE: ReadonlySet<OperationName> = new Set<OperationName>(['replicateKey', 'updatePrimaryRegion'])

/** Transitions that go on below the floor of free space: they only take something away. Uses refuse by themselves. */
export const WORKS_WHEN_LOW: ReadonlySet<OperationName> = new Set<OperationName>([
  'status',
  'writeSets',
  'checkRows',
  'keyLastUsage',
  'markerKey',
  'getRow',
  'listRows',
  'rootStatus',
  'disableKey',
  'scheduleKeyDeletion',
  'deleteImportedKeyMaterial',
  'revoke',
  'trip',
  'unlock',
  'stop',
])
