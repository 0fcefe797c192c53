/** What the tests of attestation documents share: one moment, one hierarchy, one recipient, and a document that is refused. */
import assert from 'node:assert/strict'
import { AttestationError } from '../../src/kms/attestation/refusal.ts'
import { Attestations } from '../../src/kms/attestation/verify.ts'
import {
  asMap,
  enclaveFields,
  type Fields,
  LINKS,
  makeHierarchy,
  recipientKeys,
  type Signing,
  signDocument,
} from './attestation.ts'

export const NOW = Date.UTC(2026, 5, 1, 12)
export const recipient = recipientKeys()
export const hierarchy = await makeHierarchy(LINKS, NOW)

/** The fields of a good document, but for these. */
export const fields = (change: Fields = {}): Fields => ({
  ...enclaveFields(hierarchy, recipient.publicKey, NOW),
  ...change,
})
export const document = (change: Fields = {}, signing: Signing = {}): Buffer =>
  signDocument(hierarchy, asMap(fields(change)), signing)
export const verify = (bytes: Buffer, now = NOW, roots: readonly Buffer[] = [hierarchy.root]) =>
  new Attestations(roots).verify(bytes, now)

/** Fails unless the document is refused for this reason. */
export function refused(bytes: Buffer, why: RegExp, now = NOW, roots: readonly Buffer[] = [hierarchy.root]): void {
  assert.throws(
    () => verify(bytes, now, roots),
    (error: Error) => {
      assert.ok(error instanceof AttestationError, String(error.stack))
      assert.match(error.message, why)
      return true
    },
  )
}
