/**
 * What `holdfast init ekm` needs to know beside what every service is asked.
 */
import { isIP } from 'node:net'
import { isTenantName } from '../../ekm/keys/names.ts'
import { PROTOCOL_NAMES, type ProtocolName } from '../../ekm/keys/protocols.ts'
import {
  always,
  backupQuestions,
  type CommonAnswers,
  filled,
  none,
  type Question,
  rootQuestions,
  usersQuestion,
} from './questions.ts'

export interface EkmAnswers extends CommonAnswers {
  readonly clouds: readonly ProtocolName[]
  readonly tenant: string
  /** PEM of the roots of the cloud's client certificates; undefined: a root of our own, for a trial. */
  readonly clientCaFile: string | undefined
  /** Name in the cloud's client certificate. */
  readonly clientName: string | undefined
  /** Id of the Entra tenant whose people decrypt (dke). */
  readonly directory: string | undefined
  /** The owner's identity provider (kacls): issuer, audience, and where its keys are. */
  readonly issuer: string | undefined
  readonly audience: string | undefined
  readonly issuerKeys: string | undefined
  /** Number of the Google Cloud project that asks (google). */
  readonly project: string | undefined
}

/** The clouds that show a client certificate. */
export const WITH_CLIENT_CERTIFICATE: ReadonlySet<ProtocolName> = new Set(['xks', 'azure'])

const of =
  (cloud: ProtocolName) =>
  ({ clouds }: Partial<EkmAnswers>): boolean =>
    clouds?.includes(cloud) ?? false
const https = (text: string): string => (/^https:\/\/[^\s?#]+$/.test(text) ? '' : 'it must be an https: URL')

export function wrongClouds(text: string): string {
  const names = splitClouds(text)
  const unknown = names.filter(name => !(PROTOCOL_NAMES as readonly string[]).includes(name))
  if (names.length === 0) return `name at least one of ${PROTOCOL_NAMES.join(', ')}`
  return unknown.length === 0 ? '' : `${unknown.join(', ')}: there are ${PROTOCOL_NAMES.join(', ')}`
}

export const splitClouds = (text: string): string[] => text.split(/[\s,]+/).filter(name => name !== '')

export const ekmQuestions = (isRoot: boolean): readonly Question<EkmAnswers>[] => [
  {
    name: 'clouds',
    flag: '--cloud',
    text: `Which clouds are to ask (${PROTOCOL_NAMES.join(', ')}; several with commas)?`,
    fallback: none,
    asked: always,
    wrong: wrongClouds,
  },
  {
    name: 'host',
    text: 'By which host name do they reach this key manager?',
    fallback: ({ clouds }) => (clouds?.every(cloud => cloud === 'kubernetes') ? 'localhost' : undefined),
    asked: ({ clouds }) => clouds?.some(cloud => cloud !== 'kubernetes') ?? true,
    wrong: text =>
      isIP(text) !== 0 || !/^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(text)
        ? 'it must be a host name, not an address'
        : '',
  },
  {
    name: 'tenant',
    text: 'Path prefix of the first tenant?',
    fallback: () => 'tenant',
    asked: always,
    wrong: text =>
      isTenantName(text) && text !== '/' ? '' : 'segments of letters, digits, "-" and "_", divided by "/"',
  },
  ...rootQuestions,
  usersQuestion(isRoot),
  {
    name: 'directory',
    text: 'Id of the Entra tenant whose people may decrypt (a GUID)?',
    fallback: none,
    asked: of('dke'),
    wrong: text =>
      /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? '' : 'it must be a GUID in lower case',
  },
  {
    name: 'issuer',
    text: 'Issuer (iss) of your identity provider?',
    fallback: none,
    asked: of('kacls'),
    wrong: https,
  },
  {
    name: 'audience',
    text: 'Audience (aud) of its tokens for client-side encryption?',
    fallback: none,
    asked: of('kacls'),
    wrong: filled,
  },
  {
    name: 'issuerKeys',
    text: 'URL of its public keys (jwks_uri)?',
    fallback: ({ issuer = '' }) => `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`,
    asked: of('kacls'),
    wrong: https,
  },
  {
    name: 'project',
    text: 'Number of the Google Cloud project that asks?',
    fallback: none,
    asked: of('google'),
    wrong: text => (/^[1-9][0-9]{3,18}$/.test(text) ? '' : 'it must be the number of a project'),
  },
  ...backupQuestions,
]
