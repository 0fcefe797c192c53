/**
 * Which errors already have their record. The boundary records what it refuses in a use or a transition; an error that came from anywhere else (a row
 * that could not be had, a connection that is gone) has none yet, and the runner must write it (promise 2).
 */
import type { BoundaryUse } from '../../boundary/client/api.ts'
import { BoundaryError, type BoundaryErrorCode } from '../../boundary/words.ts'

/** What the boundary answers without a record: the operation goes on, or nothing could be recorded. */
const UNRECORDED: ReadonlySet<BoundaryErrorCode> = new Set([
  'StaleKey',
  'NeedSealedKey',
  'Locked',
  'Unavailable',
  'DiskFull',
])

const marked = new WeakSet<Error>()

/** Whether the boundary has recorded this refusal; of an error in AWS's words its cause counts. */
export function isRecorded(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return marked.has(error) || (error.cause instanceof BoundaryError && marked.has(error.cause))
}

function mark(error: unknown): never {
  if (error instanceof BoundaryError && !UNRECORDED.has(error.code)) marked.add(error)
  throw error
}

/** The same boundary, whose uses and transitions mark what they reject with. */
export function markingErrors(boundary: BoundaryUse): BoundaryUse {
  return {
    ...boundary,
    encrypt: (...args) => boundary.encrypt(...args).catch(mark),
    decrypt: (...args) => boundary.decrypt(...args).catch(mark),
    reEncrypt: (...args) => boundary.reEncrypt(...args).catch(mark),
    generateDataKey: (...args) => boundary.generateDataKey(...args).catch(mark),
    generateRandom: (...args) => boundary.generateRandom(...args).catch(mark),
    asymmetricEncrypt: (...args) => boundary.asymmetricEncrypt(...args).catch(mark),
    asymmetricDecrypt: (...args) => boundary.asymmetricDecrypt(...args).catch(mark),
    generateDataKeyPair: (...args) => boundary.generateDataKeyPair(...args).catch(mark),
    sign: (...args) => boundary.sign(...args).catch(mark),
    verify: (...args) => boundary.verify(...args).catch(mark),
    generateMac: (...args) => boundary.generateMac(...args).catch(mark),
    verifyMac: (...args) => boundary.verifyMac(...args).catch(mark),
    deriveSharedSecret: (...args) => boundary.deriveSharedSecret(...args).catch(mark),
    encapsulate: (...args) => boundary.encapsulate(...args).catch(mark),
    decapsulate: (...args) => boundary.decapsulate(...args).catch(mark),
    createKey: (...args) => boundary.createKey(...args).catch(mark),
    enableKey: (...args) => boundary.enableKey(...args).catch(mark),
    disableKey: (...args) => boundary.disableKey(...args).catch(mark),
    scheduleKeyDeletion: (...args) => boundary.scheduleKeyDeletion(...args).catch(mark),
    cancelKeyDeletion: (...args) => boundary.cancelKeyDeletion(...args).catch(mark),
    putKeyPolicy: (...args) => boundary.putKeyPolicy(...args).catch(mark),
    setKeyRotation: (...args) => boundary.setKeyRotation(...args).catch(mark),
    rotateKeyOnDemand: (...args) => boundary.rotateKeyOnDemand(...args).catch(mark),
    importParameters: (...args) => boundary.importParameters(...args).catch(mark),
    importKeyMaterial: (...args) => boundary.importKeyMaterial(...args).catch(mark),
    deleteImportedKeyMaterial: (...args) => boundary.deleteImportedKeyMaterial(...args).catch(mark),
    putRows: (...args) => boundary.putRows(...args).catch(mark),
  }
}
