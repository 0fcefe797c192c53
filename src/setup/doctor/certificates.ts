/** The certificates that a configuration names: dates, chain, key, name; and the roots of clients. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type CertificatePair, certificatePairs, clientRoots } from './configured.ts'
import { type Finding, finding } from './findings.ts'
import type { Machine, Subject } from './subject.ts'

const DAY_MS = 86_400_000
const SOON_DAYS = 30
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

export function checkCertificates({ config }: Subject, { now }: Machine): Finding[] {
  if (config === undefined) return []
  const values = { config: config.file }
  const guarded = (path: string, look: () => Finding[]): Finding[] => {
    try {
      return look()
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      return [finding('certificate-unreadable', `${path}: ${code ?? message}`, values)]
    }
  }
  // Several listeners may share one; where they differ in what they ask of it they are looked at one by one.
  const pairs = new Map(certificatePairs(config).map(pair => [JSON.stringify({ ...pair, path: '' }), pair]))
  return [
    ...[...pairs.values()].flatMap(pair => guarded(pair.path, () => checkPair(pair, now()))),
    ...[...new Set(clientRoots(config))].flatMap(path => guarded(path, () => checkRoots(path, now()))),
  ]
}

const read = (path: string): X509Certificate[] => {
  const found = readFileSync(path, 'utf8').match(CERTIFICATE) ?? []
  if (found.length === 0) throw new Error('there is no certificate in it')
  return found.map(pem => new X509Certificate(pem))
}

const nameOf = (certificate: X509Certificate): string => certificate.subject.replaceAll('\n', ', ') || 'no name'

function checkPair({ path, certificateFile, keyFile, host }: CertificatePair, now: number): Finding[] {
  const chain = read(certificateFile)
  const [own] = chain
  if (own === undefined) return []
  const what = `${path}: ${nameOf(own)}`
  const days = Math.min(...chain.map(each => each.validToDate.getTime() - now)) / DAY_MS
  const findings: Finding[] = []
  if (days < 0) findings.push(finding('certificate-ended', `${what} ended ${(-days).toFixed(0)} days ago`))
  else if (days < SOON_DAYS) findings.push(finding('certificate-soon', `${what} ends in ${days.toFixed(0)} days`))
  if (chain.some(each => each.validFromDate.getTime() > now))
    findings.push(finding('certificate-early', `${what} is not good before ${own.validFromDate.toISOString()}`))
  if (!own.checkPrivateKey(createPrivateKey(readFileSync(keyFile))))
    findings.push(finding('certificate-key', `${what}: ${keyFile} is the key of another certificate`, { keyFile }))
  const broken = chain.findIndex((each, at) => {
    const issuer = chain[at + 1]
    return issuer !== undefined && !(each.checkIssued(issuer) && each.verify(issuer.publicKey))
  })
  if (broken >= 0)
    findings.push(
      finding(
        'certificate-chain',
        `${certificateFile}: certificate ${broken + 1} was not issued by the one that follows it`,
        {
          path: certificateFile,
        },
      ),
    )
  if (host !== undefined && own.checkHost(host) === undefined)
    findings.push(finding('certificate-name', `${what} is not for ${host}, which callers ask for`, { name: host }))
  return findings.length > 0 ? findings : [finding('certificate-good', `${what} ends in ${days.toFixed(0)} days`)]
}

function checkRoots(path: string, now: number): Finding[] {
  const ended = read(path).filter(each => each.validToDate.getTime() < now)
  return ended.map(each => finding('client-root-ended', `${path}: ${nameOf(each)} ended on ${each.validTo}`, { path }))
}
