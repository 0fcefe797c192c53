/** Names, TLS and certificates of a front door, as the cloud sees them. */
import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import tls from 'node:tls'
import type { Cloud } from './clouds.ts'
import { type Finding, ok, problem, type Target, warning } from './types.ts'

/** Real milliseconds for one connection. */
const CONNECT_MS = 5000
const DAY_MS = 86_400_000
const EXPIRES_SOON_DAYS = 30

export async function checkName({ url }: Target, { port }: Cloud): Promise<Finding[]> {
  const findings: Finding[] = []
  const host = url.hostname
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0)
    findings.push(warning('name', `${host} is an address`, 'Clouds take a host name; give the public one.'))
  else
    try {
      const found = await lookup(host, { all: true })
      const v4 = found.filter(({ family }) => family === 4).map(({ address }) => address)
      const all = found.map(({ address }) => address).join(', ')
      if (v4.length === 0)
        findings.push(problem('name', `${host} is ${all}`, 'Clouds connect over IPv4: add an A record.'))
      else findings.push(ok('name', `${host} is ${all}`))
    } catch (error) {
      const { code = 'unknown reason' } = error as NodeJS.ErrnoException
      findings.push(problem('name', `${host} does not resolve (${code})`, 'Publish an A record for it.'))
    }
  const asked = Number(url.port || '443')
  if (asked !== port)
    findings.push(
      warning('name', `port ${asked} was asked`, `Clouds connect to port ${port} only: forward it to ${asked}.`),
    )
  return findings
}

interface Handshake {
  readonly version: string
  readonly cipher: string
  readonly authorizationError: string
  readonly certificate: tls.PeerCertificate
  readonly milliseconds: number
}

/** One handshake; the chain is judged afterwards, so that a bad one can be told. Rejects where there is none. */
export function handshake(target: Target, options: tls.ConnectionOptions = {}): Promise<Handshake> {
  const { url, ca, client } = target
  const started = performance.now()
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host,
      port: Number(url.port || '443'),
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === undefined ? {} : { ca }),
      ...(client && { cert: readFileSync(client.certificateFile), key: readFileSync(client.keyFile) }),
      rejectUnauthorized: false,
      ...options,
    })
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`no answer within ${CONNECT_MS} ms`)))
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      const milliseconds = performance.now() - started
      const certificate = socket.getPeerCertificate()
      // Node leaves the name to whoever asks not to refuse.
      const wrongName = tls.checkServerIdentity(host, certificate)
      const authorizationError = socket.authorized ? (wrongName?.message ?? '') : String(socket.authorizationError)
      resolve({
        version: socket.getProtocol() ?? '',
        cipher: socket.getCipher().name,
        authorizationError,
        certificate,
        milliseconds,
      })
      socket.destroy()
    })
  })
}

const reason = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? message
}

/** Which versions and suites are served. */
export async function checkTls(target: Target, cloud: Cloud): Promise<Finding[]> {
  const findings: Finding[] = []
  const wanted = cloud.minTls
  try {
    const { version, cipher, milliseconds } = await handshake(target)
    findings.push(ok('tls', `${version} with ${cipher}; connecting took ${milliseconds.toFixed(0)} ms`))
  } catch (error) {
    const advice = 'Check that the service runs, the port is open, and its certificate and key are in place.'
    return [problem('tls', `no TLS connection (${reason(error)})`, advice)]
  }
  const versions = await Promise.all([
    accepts(target, { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' }),
    accepts(target, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }),
    accepts(target, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' }),
  ])
  const [tls13, tls12, older] = versions
  if (wanted === 'TLSv1.3' && !tls13)
    findings.push(problem('tls', 'TLS 1.3 is refused', `${cloud.title} speaks TLS 1.3 only.`))
  if (wanted === 'TLSv1.3' && tls12)
    findings.push(warning('tls', 'TLS 1.2 is served too', `${cloud.title} needs TLS 1.3 only: leave the rest out.`))
  if (older) findings.push(problem('tls', 'TLS 1.1 or older is served', 'Serve TLS 1.2 and 1.3 only.'))
  const served = await Promise.all(
    cloud.ciphers.map(async cipher => ({ cipher, served: await accepts(target, suite(cipher)) })),
  )
  const offered = served.filter(each => each.served).map(({ cipher }) => cipher)
  if (offered.length === 0)
    findings.push(
      problem(
        'tls',
        'none of the suites that the cloud demands is served',
        `Serve one of ${cloud.ciphers.join(', ')}.`,
      ),
    )
  else findings.push(ok('tls', `suites that the cloud takes: ${offered.join(', ')}`))
  return findings
}

/** Names of TLS 1.3 begin so; they are chosen by the same option, and the others need their version. */
const suite = (cipher: string): tls.ConnectionOptions =>
  cipher.startsWith('TLS_')
    ? { ciphers: cipher, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' }
    : { ciphers: cipher, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }

const accepts = (target: Target, options: tls.ConnectionOptions): Promise<boolean> =>
  handshake(target, options).then(
    () => true,
    () => false,
  )

/** Chain, name and dates. */
export async function checkCertificate(target: Target, cloud: Cloud): Promise<Finding[]> {
  let seen: Handshake
  try {
    seen = await handshake(target)
  } catch {
    // Told by the check of TLS.
    return []
  }
  const findings: Finding[] = []
  const { certificate, authorizationError } = seen
  const name = `certificate of ${certificate.subject?.CN ?? certificate.subjectaltname ?? 'no name'}`
  if (authorizationError !== '')
    findings.push(
      problem(
        'certificate',
        `${name} is refused: ${authorizationError}`,
        'Serve the whole chain, for this very host name, of a CA that the cloud trusts.',
      ),
    )
  else if (cloud.publicCa && target.ca !== undefined)
    findings.push(
      warning(
        'certificate',
        `${name} chains to the given file`,
        `${cloud.title} trusts public CAs only; --ca is for a trial.`,
      ),
    )
  else findings.push(ok('certificate', `${name}: chain and name are right`))
  const days = (Date.parse(certificate.valid_to) - Date.now()) / DAY_MS
  if (days < 0) findings.push(problem('certificate', `it ended ${(-days).toFixed(0)} days ago`, 'Renew it.'))
  else if (days < EXPIRES_SOON_DAYS)
    findings.push(
      warning(
        'certificate',
        `it ends in ${days.toFixed(0)} days`,
        'Renew it; the service reads the new file by itself.',
      ),
    )
  else findings.push(ok('certificate', `it ends in ${days.toFixed(0)} days`))
  return findings
}
