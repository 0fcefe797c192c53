/** What the data service is told at its start, over the spawn's message channel: it holds a credential, so it is never on a command line. */

export interface KmsAccess {
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface DataServiceConfig {
  /** Folder of the encrypted files: `<folder>/<bucket>/<object path>.esdk`. */
  readonly folder: string
  /** 0 takes a free port. The service listens on 127.0.0.1 only. */
  readonly port: number
  /** Bearer token of the service's users. */
  readonly token: string
  /** Bearer token of the provider's operator: may order data keys to be kept (custody compel). */
  readonly operatorToken: string
  /** How long an opened data key may be used again, in seconds. At most 3600. */
  readonly cacheSeconds: number
  /** The service's own credential at the KMS. */
  readonly kms: KmsAccess
  /** Bucket name → ARN or alias ARN of its KMS key. */
  readonly buckets: Readonly<Record<string, string>>
}
