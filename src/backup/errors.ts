/** Why a backup was not made, is not good, or cannot be put back. The message tells the operator what to do, and holds no secret. */
export type BackupErrorCode =
  /** The arguments or the folder must be changed. */
  | 'Refused'
  /** What is to be backed up, or was, is not what was written. */
  | 'Damaged'
  /** A file of the chain is missing. */
  | 'Missing'
  /** None of the identities opens it. */
  | 'WrongIdentity'
  /** No service answers, or it is locked, or another backup is at work. */
  | 'Unavailable'
  /** The disk that is written to is full, or failed. */
  | 'NotWritten'

export class BackupError extends Error {
  readonly code: BackupErrorCode
  constructor(code: BackupErrorCode, message: string) {
    super(message)
    this.name = 'BackupError'
    this.code = code
  }
}
