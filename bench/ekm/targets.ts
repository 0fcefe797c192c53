/**
 * An owner's key manager under measurement, by protocol: from a configuration, as an owner runs it, with keys in the boundary and in SoftHSM2, and a policy in
 * force. Beside it nginx and a bare node:https server that ask for the same certificates, and a bare server of gRPC on a Unix socket.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Where } from '../load.ts'
import { type Reference, startEcho, startGrpcEcho, startNginx } from '../references.ts'
import { bytesOf } from './http.ts'
import { ENCRYPT_REQUEST_BYTES, kubernetes } from './kubernetes.ts'
import { type EkmTarget, OVER_HTTPS, type Place, QUARTER, SOFTHSM, SOFTWARE, type World } from './protocols.ts'
import { CLIENT, certificates, type RunningEkm, softToken, startEkm, TokenLoop } from './service.ts'

export interface MeasuredTarget extends EkmTarget {
  readonly frontEnd: readonly number[]
  readonly boundary: readonly number[]
}

export interface MeasuredEkm {
  readonly targets: readonly MeasuredTarget[]
  readonly frontEnd: number
  /** The token alone; undefined where there is none. */
  readonly tokenLoop: TokenLoop | undefined
  stop(): Promise<void>
}

async function contents({ cli }: RunningEkm, { tenant, key, pair }: Place): Promise<void> {
  const token = tenant === SOFTHSM.tenant ? ['--token', 'soft'] : []
  await cli('tenant', 'create', tenant, '--client', CLIENT)
  await cli('key', 'create', key, '--tenant', tenant, ...token)
  await cli('key', 'create', pair, '--tenant', tenant, '--spec', 'RSA_2048', ...token)
}

const reference = (name: string, { pids }: Reference, where: Where, request: Buffer, slowness = 1): MeasuredTarget => ({
  ...{ name, where, slowness, frontEnd: pids, boundary: [] },
  requests: () => [request],
})

export async function startMeasuredEkm(say: (text: string) => void): Promise<MeasuredEkm> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const { files, tls } = await certificates(folder)
  const token = softToken(folder)
  if (token === undefined) say('SoftHSM2 is not installed: there are no rows of it')
  const places = token === undefined ? [SOFTWARE] : [SOFTWARE, SOFTHSM]
  const protocols = await Promise.all([...OVER_HTTPS, kubernetes].map(start => start({ folder, files })))
  const sections = Object.assign({}, ...protocols.map(({ config }) => config))
  const load = { perSecond: 1_000_000, inFlight: 1024, withinMs: 5000 }
  const ekm = await startEkm(folder, { ...sections, load }, token)
  const running: { stop(): unknown }[] = [ekm, ...protocols]
  const stop = async (): Promise<void> => {
    for (const one of running) await one.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    for (const place of places) await contents(ekm, place)
    const world: World = { ekm, tls, places }
    const targets = (await Promise.all(protocols.map(protocol => protocol.targets(world)))).flat()
    const nginx = await startNginx(files)
    const echo = await startEcho(files)
    const grpcSocket = join(folder, 'bare.sock')
    const grpc = await startGrpcEcho(grpcSocket)
    const tokenLoop = await TokenLoop.start(folder)
    running.unshift(nginx, echo, grpc, ...(tokenLoop === undefined ? [] : [tokenLoop]))
    const plain = bytesOf({ port: 0, path: '/', body: '{"hello":"you"}' })
    return {
      frontEnd: ekm.frontEnd,
      tokenLoop,
      targets: [
        reference('nginx, return 200, mutual TLS', nginx, { port: nginx.port, tls }, plain),
        reference('node:https, JSON echo, mutual TLS', echo, { port: echo.port, tls }, plain),
        reference('node:http2, constant gRPC answer', grpc, { socket: grpcSocket }, ENCRYPT_REQUEST_BYTES, QUARTER),
        ...targets.map(target => ({ ...target, frontEnd: [ekm.frontEnd], boundary: [ekm.boundary] })),
      ],
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
