/** Certificates in files, for services and clients of tests. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Authority, type CertificateRequest, makeAuthority } from '../../src/http/certificates.ts'

export interface CertificateFiles {
  readonly certificateFile: string
  readonly keyFile: string
}

export class TestAuthority {
  readonly #authority: Authority
  readonly #folder: string
  readonly caFile: string

  private constructor(authority: Authority, folder: string, name: string) {
    this.#authority = authority
    this.#folder = folder
    this.caFile = join(folder, `${name}.pem`)
    writeFileSync(this.caFile, authority.certificate)
  }

  static async make(folder: string, name: string): Promise<TestAuthority> {
    return new TestAuthority(await makeAuthority(name, 10), folder, name)
  }

  async issue(name: string, request: CertificateRequest): Promise<CertificateFiles> {
    const { certificate, key } = await this.#authority.issue(request)
    const files = {
      certificateFile: join(this.#folder, `${name}.pem`),
      keyFile: join(this.#folder, `${name}.key`),
    }
    writeFileSync(files.certificateFile, certificate)
    writeFileSync(files.keyFile, key, { mode: 0o600 })
    return files
  }
}
