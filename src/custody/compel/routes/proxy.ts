/**
 * Routes 4 and 5, for keys held by the owner: asking the owner's proxy anew, and repeating byte for byte what it answered before. Only the owner can
 * refuse them. What the proxy gives is still under the provider's layer, which its root opens.
 */
import { type Captured, readCaptured } from '../captured.ts'
import { filesOf } from '../folder.ts'
import { Holdings, type Provider } from '../holdings.ts'
import { digestOf, envelopeOf, ProxyAccess, type Xks } from '../proxy.ts'
import { type KeyRoute, RouteFailure } from '../route.ts'

interface ProxyInput {
  readonly provider: Provider
  readonly xks: Xks
  readonly region: string
  readonly keyArn: string
}

async function access({ provider, xks, region }: ProxyInput): Promise<ProxyAccess> {
  return new ProxyAccess(xks, region, await Holdings.all(provider, region))
}

const notReady = (): RouteFailure => new RouteFailure('NotPrepared', 'The route could not be prepared.')

export function askProxy(input: ProxyInput): KeyRoute {
  let proxy: ProxyAccess | undefined
  return {
    route: 'proxy',
    title: 'asking the owner’s proxy',
    with: 'its stored credential and client certificate for the owner’s proxy, and its root',
    async prepare() {
      proxy = await access(input)
    },
    async unwrap(_encryptedDataKey, file) {
      if (!proxy) throw notReady()
      return proxy.send(await proxy.request(file, input.keyArn), file)
    },
    finish: async () => proxy?.close(),
  }
}

export function replay(input: ProxyInput): KeyRoute {
  let proxy: ProxyAccess | undefined
  let captured: Captured | undefined
  return {
    route: 'replay',
    title: 'repeating a request that the owner answered before',
    with: 'signed requests captured before the revocation, its client certificate, and its root',
    async prepare() {
      captured = await readCaptured(filesOf(input.provider.backup).captured)
      proxy = await access(input)
    },
    async unwrap(encryptedDataKey, file) {
      if (!proxy || !captured) throw notReady()
      envelopeOf(file)
      const request = captured.get(digestOf(encryptedDataKey))
      if (!request) throw new RouteFailure('NothingCaptured', 'No request for this file was captured: it was not read.')
      return proxy.send(request, file)
    },
    finish: async () => proxy?.close(),
  }
}
