/**
 * One real `holdfast ekm` that serves every protocol, over TLS and with client certificates wherever the protocol has them; two tenants with the same names of
 * keys, a third that is another key service to the first; a real `kubernetes-plugin`; and whoever asks in each of their names.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connectControl } from '../../src/boundary/client/control.ts'
import type { EkmConfigInput } from '../../src/config/ekm.ts'
import { Issuer } from '../../src/ekm/access/testing.ts'
import { createCredential, createKey, createTenant } from '../../src/ekm/admin/index.ts'
import { KEY_HEADER, TENANT_HEADER } from '../../src/ekm/protocols/kubernetes/handler.ts'
import { AzureClient } from './azure.ts'
import { type CertificateFiles, TestAuthority } from './certificates.ts'
import { type Ekm, ROOT, startEkm } from './ekm.ts'
import { AUDIENCE, accountOf, type Caller, directoryOf, MINE, OLD, THEIRS, tokensOf } from './ekm-callers.ts'
import { type Answered, askWith, type Listening, type ServiceLine, startService } from './ekm-service.ts'
import { GrpcCaller } from './grpc.ts'
import { freePort } from './kms.ts'
import { SignerClient } from './xks-clients.ts'

/** By what its certificates name a tenant's provider, for each protocol that has certificates. */
export const certificateNames = (tenant: string) => ({
  xks: `${tenant}.xks.example`,
  azure: `${tenant}.managedhsm.example`,
  kubernetes: `node.${tenant}.example`,
})

type Ports = Readonly<Record<'xks' | 'azure' | 'kubernetes' | 'dke' | 'kacls' | 'google', number>>

export interface Authorities {
  /** Of the owner's servers. */
  readonly owner: TestAuthority
  /** Of the providers' clients, as the owner trusts it. */
  readonly provider: TestAuthority
  readonly stranger: TestAuthority
}

/** Of each tenant's people; of Google's tokens there is one issuer for all. */
export interface Issuers {
  readonly people: Readonly<Record<string, Issuer>>
  readonly google: Issuer
  readonly accounts: Issuer
  readonly stranger: Issuer
}

export class World {
  readonly folder: string
  readonly ports: Ports
  readonly authorities: Authorities
  readonly issuers: Issuers
  readonly listening: Listening
  readonly #configFile: string
  #ekm: Ekm<ServiceLine>
  readonly control: ReturnType<typeof connectControl>
  readonly callers = new Map<string, Caller>()
  readonly #agent: https.Agent
  readonly #closing: (() => void)[] = []
  readonly #plugins: ChildProcess[] = []

  private constructor(
    made: Pick<World, 'folder' | 'ports' | 'authorities' | 'issuers' | 'listening'>,
    ekm: Ekm<ServiceLine>,
  ) {
    this.folder = made.folder
    this.ports = made.ports
    this.authorities = made.authorities
    this.issuers = made.issuers
    this.listening = made.listening
    this.#configFile = join(made.folder, 'owner.yaml')
    this.#ekm = ekm
    this.#agent = new https.Agent({ keepAlive: true, ca: readFileSync(made.listening.caFile) })
    this.#closing.push(() => this.#agent.destroy())
    this.control = connectControl({ socket: join(ekm.data, 'boundary', 'control.sock') })
  }

  /** `limits`: of what strangers may send, other than the usual. */
  static async start(folder: string, limits: EkmConfigInput['limits'] = {}): Promise<World> {
    const [owner, provider, stranger] = await Promise.all(
      ['owner', 'provider', 'stranger'].map(name => TestAuthority.make(folder, name)),
    )
    if (!owner || !provider || !stranger) throw new Error('no authorities')
    const server = { commonName: 'ekm', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], use: 'server' } as const
    const listening = { tls: await owner.issue('server', server), caFile: owner.caFile }
    const people: Record<string, Issuer> = {}
    for (const tenant of [MINE, THEIRS, OLD]) people[tenant] = await Issuer.start(`https://id.${tenant}.example/`)
    const issuers = {
      people,
      google: await Issuer.start('gsuitecse-tokenissuer-drive@system.gserviceaccount.com'),
      accounts: await Issuer.start('https://accounts.google.com'),
      stranger: await Issuer.start('https://id.stranger.example/'),
    }
    const ports: Record<string, number> = {}
    for (const name of ['xks', 'azure', 'kubernetes', 'dke', 'kacls', 'google']) ports[name] = await freePort()
    const made = { folder, authorities: { owner, provider, stranger }, issuers, listening, ports: ports as Ports }
    const world = new World(made, await startService(folder, 'owner', { ...configOf(made), limits }))
    for (const tenant of [MINE, THEIRS, OLD]) await world.#populate(tenant)
    return world
  }

  get ekm(): Ekm<ServiceLine> {
    return this.#ekm
  }

  caller(tenant: string): Caller {
    const caller = this.callers.get(tenant)
    if (caller === undefined) throw new Error(`nobody asks for ${tenant}`)
    return caller
  }

  url(protocol: keyof Ports): string {
    return `https://127.0.0.1:${this.ports[protocol]}`
  }

  socketOf(tenant: string): string {
    return join(this.folder, `${tenant}.sock`)
  }

  /** JSON over a connection that is kept, with a bearer token where one is given. Rejects where there is no answer. */
  https(method: string, url: string, body?: object, token?: string): Promise<Answered> {
    const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    return askWith(this.#agent, url, { method, headers, ...(body && { body }) })
  }

  /** The whole service stopped and started. */
  async restart(): Promise<void> {
    await this.#ekm.stop()
    this.#ekm = await startEkm<ServiceLine>(['--config', this.#configFile])
  }

  /** By which the tenant's provider is known. */
  certificate(tenant: string, protocol: keyof ReturnType<typeof certificateNames>): CertificateFiles {
    const file = join(this.folder, `${tenant}-${protocol}`)
    return { certificateFile: `${file}.pem`, keyFile: `${file}.key` }
  }

  azure(client: CertificateFiles | undefined): AzureClient {
    const made = new AzureClient(this.url('azure'), this.listening.caFile, client)
    this.#closing.push(() => made.close())
    return made
  }

  door(client: CertificateFiles | undefined, tenant: string, key = 'vault'): GrpcCaller {
    const headers = { [TENANT_HEADER]: tenant, [KEY_HEADER]: key }
    return this.#closed(GrpcCaller.toDoor(this.ports.kubernetes, this.listening.caFile, client, headers))
  }

  xks(tenant: string, accessKeyId: string, secretAccessKey: string, client?: CertificateFiles): SignerClient {
    const target = {
      endpoint: this.url('xks'),
      pathPrefix: tenant,
      accessKeyId,
      secretAccessKey,
      caFile: this.listening.caFile,
    }
    return this.#closed(new SignerClient({ ...target, ...(client && { client }) }))
  }

  async stop(): Promise<number | null> {
    for (const close of this.#closing) close()
    for (const plugin of this.#plugins) plugin.kill('SIGTERM')
    this.control.close()
    for (const issuer of [
      ...Object.values(this.issuers.people),
      this.issuers.google,
      this.issuers.accounts,
      this.issuers.stranger,
    ])
      await issuer.stop()
    return this.#ekm.stop()
  }

  #closed<T extends { close(): void }>(made: T): T {
    this.#closing.push(() => made.close())
    return made
  }

  async #populate(tenant: string): Promise<void> {
    const { control, authorities } = this
    const names = certificateNames(tenant)
    await createTenant(control, tenant, Object.values(names))
    const key = { tenant, usage: 'both', backing: 'software' } as const
    await createKey(control, { ...key, keyId: 'vault' })
    await createKey(control, { ...key, keyId: 'pair', spec: 'RSA_2048' })
    await createKey(control, { ...key, keyId: 'signer', spec: 'RSA_2048', usage: 'sign' })
    if (tenant === THEIRS) await createKey(control, { ...key, keyId: 'only' })
    if (tenant === OLD) return
    for (const [protocol, commonName] of Object.entries(names))
      await authorities.provider.issue(`${tenant}-${protocol}`, { commonName, use: 'client' })
    const { accessKeyId, secretAccessKey } = await createCredential(control, tenant)
    const secret = secretAccessKey.reveal(bytes => bytes.toString('latin1'))
    const tokens = await tokensOf(this, tenant)
    const { json } = await this.https('POST', `${this.url('kacls')}/${tenant}/v1/delegate`, {
      authentication: tokens.user,
      authorization: tokens.delegating.reader,
      reason: 'r',
    })
    this.callers.set(tenant, {
      tenant,
      xks: this.xks(tenant, accessKeyId, secret, this.certificate(tenant, 'xks')),
      azure: this.azure(this.certificate(tenant, 'azure')),
      socket: this.#closed(GrpcCaller.toSocket(this.socketOf(tenant))),
      plugin: this.#closed(GrpcCaller.toSocket(await this.#plugin(tenant, this.certificate(tenant, 'kubernetes')))),
      tokens: { ...tokens, delegated: String(json.delegated_authentication) },
    })
  }

  /** `holdfast ekm kubernetes-plugin`, as it stands on a node of the tenant's cluster. */
  async #plugin(tenant: string, { certificateFile, keyFile }: CertificateFiles): Promise<string> {
    const socket = join(this.folder, `${tenant}-plugin.sock`)
    const flags = {
      socket,
      ekm: `127.0.0.1:${this.ports.kubernetes}`,
      ca: this.listening.caFile,
      certificate: certificateFile,
      'key-file': keyFile,
      tenant,
      key: 'vault',
    }
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
    const child = spawn(join(ROOT, 'bin', 'holdfast'), ['ekm', 'kubernetes-plugin', ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    this.#plugins.push(child)
    await new Promise<void>((ready, failed) => {
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', () => ready())
      child.once('exit', status => failed(new Error(`the plugin ended with ${status}`)))
    })
    return socket
  }
}

type Made = Pick<World, 'folder' | 'ports' | 'authorities' | 'issuers' | 'listening'>

function configOf({ folder, ports, authorities, issuers, listening }: Made) {
  const { people, google, accounts } = issuers
  const { tls } = listening
  const admitting = { ...tls, clients: { caFile: authorities.provider.caFile } }
  const byTenant = <T>(make: (tenant: string) => T): Record<string, T> =>
    Object.fromEntries([MINE, THEIRS].map(tenant => [tenant, make(tenant)]))
  const keysOf = (tenant: string) => people[tenant]?.url ?? ''
  const nameOf = (tenant: string) => people[tenant]?.name ?? ''
  const kaclsUrl = `https://127.0.0.1:${ports.kacls}`
  const workspace = (tenant: string, peer: string) => ({
    key: 'vault',
    signingKey: 'signer',
    authentication: { [nameOf(tenant)]: { audiences: ['workspace'], keys: keysOf(tenant) } },
    authorization: { [google.name]: { audiences: ['cse-authorization'], keys: google.url } },
    ownerDomain: `${tenant}.example`,
    admins: [`root@${tenant}.example`],
    peers: peer === '' ? {} : { [`${kaclsUrl}/${peer}/v1`]: { caFile: listening.caFile, addresses: ['127.0.0.1'] } },
  })
  return {
    listen: { port: ports.xks, tls: admitting },
    azure: { port: ports.azure, tls: admitting },
    kubernetes: {
      sockets: [MINE, THEIRS].map(tenant => ({ path: join(folder, `${tenant}.sock`), tenant, key: 'vault' })),
      listen: { port: ports.kubernetes, tls: admitting },
    },
    dke: {
      port: ports.dke,
      tls,
      publicUrl: `https://127.0.0.1:${ports.dke}`,
      tenants: byTenant(tenant => ({
        directory: directoryOf(tenant),
        audience: AUDIENCE,
        issuers: { [nameOf(tenant)]: { audiences: [AUDIENCE], keys: keysOf(tenant) } },
        keys: { pair: { emails: [`ada@${tenant}.example`] } },
      })),
    },
    kacls: {
      port: ports.kacls,
      tls,
      publicUrl: kaclsUrl,
      tenants: { [MINE]: workspace(MINE, OLD), [THEIRS]: workspace(THEIRS, ''), [OLD]: workspace(OLD, MINE) },
    },
    googleExperimental: {
      port: ports.google,
      tls,
      tenants: byTenant(tenant => ({
        issuers: { [accounts.name]: { audiences: [AUDIENCE], keys: accounts.url } },
        serviceAccounts: [accountOf(tenant)],
      })),
    },
  }
}
