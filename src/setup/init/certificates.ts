/** Certificates for a first start: given ones are taken as they are; what is missing is made under a root of our own, which is right for a trial. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeAuthority } from '../../http/certificates.ts'
import { type EkmAnswers, WITH_CLIENT_CERTIFICATE } from './ekm-answers.ts'
import type { CommonAnswers } from './questions.ts'

/** Days that a certificate of a trial lasts. */
export const TRIAL_DAYS = 90

export interface Certificates {
  readonly certificateFile: string
  readonly keyFile: string
  /** PEM of the roots of client certificates; undefined where nobody shows one. */
  readonly clientCaFile: string | undefined
  /** Name that the cloud's client certificate must have. */
  readonly clientName: string | undefined
  /** What was made, by its path. */
  readonly made: readonly string[]
  /** The root that the server's certificate chains to, where it was made. */
  readonly rootFile: string | undefined
}

/** Those of a caller that shows a certificate too. */
interface Client {
  readonly caFile: string | undefined
  readonly name: string
}

/** Of an owner's key manager. Never overwrites a file. */
export function prepareEkmCertificates(answers: EkmAnswers): Promise<Certificates> {
  const { clouds, clientCaFile } = answers
  const needsClient = clouds.some(cloud => WITH_CLIENT_CERTIFICATE.has(cloud))
  const name = answers.clientName ?? defaultClient(clouds)
  return prepareCertificates(answers, needsClient ? { caFile: clientCaFile, name } : undefined)
}

/** Never overwrites a file. */
export async function prepareCertificates(answers: CommonAnswers, client?: Client): Promise<Certificates> {
  const { folder, host, certificateFile, keyFile, users } = answers
  const given = certificateFile !== undefined && keyFile !== undefined
  const clientName = client?.name
  if (given && (client === undefined || client.caFile !== undefined))
    return { certificateFile, keyFile, clientCaFile: client?.caFile, clientName, made: [], rootFile: undefined }
  const tls = join(folder, 'tls')
  mkdirSync(tls, { recursive: true, mode: users === undefined ? 0o700 : 0o711 })
  const made: string[] = []
  const write = (name: string, text: string, mode: number): string => {
    const file = join(tls, name)
    writeFileSync(file, text, { flag: 'wx', mode })
    made.push(file)
    return file
  }
  const authority = await makeAuthority('Holdfast trial root', TRIAL_DAYS)
  const rootFile = write('trial-root.pem', authority.certificate, 0o644)
  let server = { certificateFile: certificateFile ?? '', keyFile: keyFile ?? '' }
  if (!given) {
    const issued = await authority.issue({ commonName: host, dnsNames: [host], use: 'server' })
    server = {
      certificateFile: write('server.pem', issued.certificate, 0o644),
      keyFile: write('server.key', issued.key, 0o600),
    }
  }
  let clientCaFile = client?.caFile
  if (client !== undefined && clientCaFile === undefined) {
    clientCaFile = rootFile
    const issued = await authority.issue({ commonName: client.name, use: 'client' })
    write('trial-provider.pem', issued.certificate, 0o644)
    write('trial-provider.key', issued.key, 0o600)
  }
  return { ...server, clientCaFile, clientName, made, rootFile: given ? undefined : rootFile }
}

/** As the clouds name themselves; the Region or pool is to be changed in the configuration. */
function defaultClient(clouds: EkmAnswers['clouds']): string {
  return clouds.includes('xks') ? 'cks.kms.us-east-1.amazonaws.com' : 'contoso.managedhsmclient.azure.net'
}
