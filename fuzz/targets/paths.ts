/** Paths and header fields of every listener, and names in certificates: what is taken is put together again, so that no two texts are one thing. */
import { parsePath as azurePath } from '../../src/ekm/protocols/azure/route.ts'
import { parsePath as dkePath } from '../../src/ekm/protocols/dke/route.ts'
import { parsePath as googlePath } from '../../src/ekm/protocols/google/route.ts'
import { parsePath as kaclsPath } from '../../src/ekm/protocols/kacls/route.ts'
import { parsePath as xksPath } from '../../src/ekm/protocols/xks/route.ts'
import { SINGLE_HEADERS, singleValues, splitTarget } from '../../src/http/headers.ts'
import { alternativeNames } from '../../src/http/peer.ts'
import { damagedText } from '../mutate.ts'
import { demand, type Target } from '../target.ts'

const GUID = '00000000-1111-2222-3333-444444444444'
const PATHS = [
  '/a/b-c/kms/xks/v1/keys/A.b-c_9/encrypt',
  '/kms/xks/v1/health',
  '/acme/k-1/wrapkey',
  '/info',
  '/acme/k:unwrap',
  `/acme/sub/k/${GUID}/decrypt`,
  '/k',
  '/acme/v1/privilegedunwrap',
  '/v1/status',
]
const NAMES = ['DNS:a.example', 'URI:spiffe://a/b', 'IP Address:192.0.2.1', 'DNS:"a, URI:b\\"c"', 'DirName:"CN=x"']
const FIELDS = [
  'Host',
  'Authorization',
  'Content-Length',
  'X-Amz-Date',
  'User-Agent',
  'host',
  '__proto__',
  'Transfer-Encoding',
]
const MAX_FIELDS = 64

interface Input {
  readonly target: string
  readonly raw: readonly string[]
  readonly names: string
}

const prefixed = (tenant: string): string => (tenant === '/' ? '' : `/${tenant}`)

/** Each reader of paths: what a path that it takes must be, or undefined. */
const READERS: Readonly<Record<string, (path: string) => string | undefined>> = {
  xks: path => {
    const route = xksPath(path, '')
    if (route === undefined) return undefined
    const { tenant, keyId, operation } = route
    return `${prefixed(tenant)}/kms/xks/v1/${keyId === '' ? operation : `keys/${keyId}/${operation}`}`
  },
  azure: path => {
    const route = azurePath(path)
    if (route === undefined) return undefined
    const { tenant, keyId, operation } = route
    return `${prefixed(tenant)}/${keyId === '' ? operation : `${keyId}/${operation}`}`
  },
  google: path => {
    const route = googlePath(path)
    if (route === undefined || route === 'unimplemented') return undefined
    return `${prefixed(route.tenant)}/${route.keyId}:${route.operation}`
  },
  dke: path => {
    const route = dkePath(path)
    if (route === undefined) return undefined
    const { tenant, keyId, guid } = route
    return `${prefixed(tenant)}/${keyId}${guid === '' ? '' : path.slice(-guid.length - '//decrypt'.length)}`
  },
  kacls: path => {
    const route = kaclsPath(path)
    if (route === undefined) return undefined
    const old = path.endsWith('/takeout_unwrap')
    return `${prefixed(route.tenant)}/v1/${old ? 'takeout_unwrap' : route.method}`
  },
}

export const paths: Target<Input> = {
  name: 'paths',
  about: 'targets and fields of HTTP, the paths of each protocol, names in certificates',
  start: () => ({
    make: random => {
      const raw: string[] = []
      for (let more = random.below(random.chance(0.05) ? 80 : 8); more > 0; more--) {
        const name = random.pick(FIELDS)
        raw.push(random.chance(0.8) ? name : damagedText(random, name), damagedText(random, 'value'))
      }
      const query = random.chance(0.1) ? '?a=1' : ''
      return {
        target: (random.chance(0.8) ? damagedText(random, random.pick(PATHS)) : random.pick(PATHS)) + query,
        raw,
        names: damagedText(random, `${random.pick(NAMES)}, ${random.pick(NAMES)}`),
      }
    },
    run: ({ target, raw, names }) => {
      fields(raw)
      for (const { type } of alternativeNames(names) ?? [])
        demand(/^[A-Za-z ]+$/.test(type), () => `a name of type ${type}`)
      const split = splitTarget(target)
      if (split === undefined) return 'no target'
      const { rawPath, query } = split
      demand(target === rawPath + (target.includes('?') ? `?${query}` : ''), () => 'another target')
      const taken: string[] = []
      for (const [name, read] of Object.entries(READERS)) {
        const again = read(rawPath)
        if (again === undefined) continue
        demand(again === rawPath, () => `${name} takes ${rawPath} for ${again}`)
        taken.push(name)
      }
      return taken.join(' ') || 'nobody'
    },
  }),
}

function fields(raw: readonly string[]): void {
  const values = singleValues(raw, MAX_FIELDS)
  if (values === undefined) return
  demand(raw.length <= 2 * MAX_FIELDS, () => 'too many fields')
  for (const name of SINGLE_HEADERS) {
    const sent = raw.filter((text, at) => at % 2 === 0 && text.toLowerCase() === name).length
    demand(sent <= 1, () => `${name} was sent ${sent} times`)
  }
}
