/**
 * The two sides of the demo: the owner's key manager and the provider's KMS, each a front end and a boundary of its own, with XKS between them over
 * mutual TLS under certificates that are made here. Nothing is shared but the certificates' root and one credential, as in life.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Service } from '../../boundary/supervisor/supervisor.ts'
import { ekmConfig } from '../../config/ekm.ts'
import { startEkmService } from '../../ekm/dev.ts'
import { makeAuthority } from '../../http/certificates.ts'
import { defaultConfig, startKmsService } from '../../kms/dev.ts'

export const REGION = 'us-east-1'
/** The customer's account at the provider. */
export const CUSTOMER = '111122223333'
/** The name by which the provider knows the owner's proxy; `xks.hosts` says where it is. */
export const PROXY_HOST = 'xks.owner.example'
export const TENANT = 'acme-hsm1'

export interface Certificates {
  readonly ca: string
  readonly serverCertificate: string
  readonly serverKey: string
  readonly clientCertificate: string
  readonly clientKey: string
}

export interface Sides {
  readonly owner: Service
  readonly provider: Service
  readonly ownerData: string
  readonly providerData: string
  readonly kmsEndpoint: string
  readonly proxyPort: number
  readonly dataServicePort: number
  readonly certificates: Certificates
}

/** Ports stay the same from start to start, so that what was printed once goes on being true. */
interface Ports {
  readonly kms: number
  readonly ekm: number
  readonly dataService: number
}

/** `stderr`: file descriptor for the log lines of all four processes. */
export async function startSides(folder: string, stderr = 2): Promise<Sides> {
  const ownerData = join(folder, 'owner')
  const providerData = join(folder, 'provider')
  for (const dir of [ownerData, providerData]) mkdirSync(dir, { recursive: true, mode: 0o700 })
  const ports = await kept<Ports>(join(folder, 'ports.json'), async () => ({
    kms: await freePort(),
    ekm: await freePort(),
    dataService: await freePort(),
  }))
  const certificates = await makeCertificates(join(folder, 'certificates'))
  const owner = startEkmService(
    ekmConfig.schema.parse({
      data: ownerData,
      listen: {
        host: '127.0.0.1',
        port: ports.ekm,
        tls: {
          certificateFile: certificates.serverCertificate,
          keyFile: certificates.serverKey,
          clients: { caFile: certificates.ca, subjects: [`cks.kms.${REGION}.amazonaws.com`] },
        },
      },
      boundary: { root: { kind: 'keyfile', file: join(ownerData, 'root.key') } },
    }),
    false,
    stderr,
  )
  const provider = startKmsService(
    defaultConfig({
      data: providerData,
      port: ports.kms,
      regions: [REGION],
      account: CUSTOMER,
      hosts: {
        [PROXY_HOST]: {
          connect: `127.0.0.1:${ports.ekm}`,
          caFile: certificates.ca,
          certificateFile: certificates.clientCertificate,
          keyFile: certificates.clientKey,
        },
      },
    }),
    false,
    stderr,
  )
  try {
    const [, line] = await Promise.all([owner.ready, provider.ready])
    return {
      owner,
      provider,
      ownerData,
      providerData,
      kmsEndpoint: String(line.endpoint),
      proxyPort: ports.ekm,
      dataServicePort: ports.dataService,
      certificates,
    }
  } catch (error) {
    await Promise.all([owner.stop(), provider.stop()])
    throw error
  }
}

export async function stopSides({ owner, provider }: Sides): Promise<void> {
  await Promise.all([owner.stop(), provider.stop()])
}

/** What a file of an earlier start says, or what `make` makes now. */
async function kept<T>(file: string, make: () => Promise<T>): Promise<T> {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as T
  const made = await make()
  writeFileSync(file, JSON.stringify(made), { mode: 0o600 })
  return made
}

async function makeCertificates(folder: string): Promise<Certificates> {
  const files: Certificates = {
    ca: join(folder, 'ca.pem'),
    serverCertificate: join(folder, 'owner-proxy.pem'),
    serverKey: join(folder, 'owner-proxy.key'),
    clientCertificate: join(folder, 'provider-client.pem'),
    clientKey: join(folder, 'provider-client.key'),
  }
  if (Object.values(files).every(file => existsSync(file))) return files
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const authority = await makeAuthority('Holdfast demo root', 3650)
  const server = await authority.issue({ commonName: PROXY_HOST, dnsNames: [PROXY_HOST], use: 'server' })
  const clientName = `cks.kms.${REGION}.amazonaws.com`
  const client = await authority.issue({ commonName: clientName, dnsNames: [clientName], use: 'client' })
  writeFileSync(files.ca, authority.certificate)
  writeFileSync(files.serverCertificate, server.certificate)
  writeFileSync(files.serverKey, server.key, { mode: 0o600 })
  writeFileSync(files.clientCertificate, client.certificate)
  writeFileSync(files.clientKey, client.key, { mode: 0o600 })
  return files
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port is free')
  return address.port
}
