/**
 * The `key_id` that the key manager last named. It only goes forward: a front end of the owner's that has not heard of a rotation yet must not make the API
 * server rotate to the old version and back.
 */
import { versionIn } from '../key-id.ts'

export class KnownKey {
  #keyId = ''

  /** Empty before the first. */
  get keyId(): string {
    return this.#keyId
  }

  /** False for a version older than the one that is known. */
  seen(keyId: string): boolean {
    if (versionIn(keyId) < versionIn(this.#keyId)) return false
    this.#keyId = keyId
    return true
  }
}
