/**
 * What `holdfast ekm init` needs to know: few questions, each with a default where there is a sound one. The same names as flags and as questions.
 */
import { isIP } from 'node:net'
import { isTenantName } from '../keys/names.ts'
import { PROTOCOL_NAMES, type ProtocolName } from '../keys/protocols.ts'

export type RootKind = 'keyfile' | 'passphrase' | 'pkcs11'

export interface Answers {
  /** Folder of configuration, certificates and data; made where it is missing. Absolute. */
  readonly folder: string
  readonly clouds: readonly ProtocolName[]
  /** The name by which the clouds reach it. */
  readonly host: string
  readonly tenant: string
  readonly root: RootKind
  /** Of a token. */
  readonly module: string | undefined
  readonly tokenLabel: string | undefined
  readonly pinFile: string | undefined
  /** A certificate that is there already; undefined: a root of our own and a certificate under it are made. */
  readonly certificateFile: string | undefined
  readonly keyFile: string | undefined
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

export interface Question {
  readonly name: keyof Answers
  /** As it is asked. */
  readonly text: string
  /** Undefined: it must be answered. */
  readonly fallback: (given: Partial<Answers>) => string | undefined
  /** Whether it is asked at all. */
  readonly asked: (given: Partial<Answers>) => boolean
  /** What is wrong with an answer; empty where nothing is. */
  readonly wrong: (text: string) => string
}

const always = (): boolean => true
const token = ({ root }: Partial<Answers>): boolean => root === 'pkcs11'
const of =
  (cloud: ProtocolName) =>
  ({ clouds }: Partial<Answers>): boolean =>
    clouds?.includes(cloud) ?? false
const https = (text: string): string => (/^https:\/\/[^\s?#]+$/.test(text) ? '' : 'it must be an https: URL')
const filled = (text: string): string => (text === '' ? 'it must not be empty' : '')

export const ROOT_KINDS: readonly RootKind[] = ['keyfile', 'passphrase', 'pkcs11']

export function wrongClouds(text: string): string {
  const names = splitClouds(text)
  const unknown = names.filter(name => !(PROTOCOL_NAMES as readonly string[]).includes(name))
  if (names.length === 0) return `name at least one of ${PROTOCOL_NAMES.join(', ')}`
  return unknown.length === 0 ? '' : `${unknown.join(', ')}: there are ${PROTOCOL_NAMES.join(', ')}`
}

export const splitClouds = (text: string): string[] => text.split(/[\s,]+/).filter(name => name !== '')

export const QUESTIONS: readonly Question[] = [
  {
    name: 'clouds',
    text: `Which clouds are to ask (${PROTOCOL_NAMES.join(', ')}; several with commas)?`,
    fallback: () => undefined,
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
  {
    name: 'root',
    text: 'What opens the boundary: keyfile (a file beside the data), passphrase (asked at each start) or pkcs11 (an HSM)?',
    fallback: () => 'keyfile',
    asked: always,
    wrong: text => ((ROOT_KINDS as readonly string[]).includes(text) ? '' : `one of ${ROOT_KINDS.join(', ')}`),
  },
  { name: 'module', text: 'Path of the PKCS#11 module?', fallback: () => undefined, asked: token, wrong: filled },
  { name: 'tokenLabel', text: 'Label of the token?', fallback: () => undefined, asked: token, wrong: filled },
  {
    name: 'pinFile',
    text: 'File with the user PIN (mode 0600)?',
    fallback: () => undefined,
    asked: token,
    wrong: filled,
  },
  {
    name: 'directory',
    text: 'Id of the Entra tenant whose people may decrypt (a GUID)?',
    fallback: () => undefined,
    asked: of('dke'),
    wrong: text =>
      /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? '' : 'it must be a GUID in lower case',
  },
  {
    name: 'issuer',
    text: 'Issuer (iss) of your identity provider?',
    fallback: () => undefined,
    asked: of('kacls'),
    wrong: https,
  },
  {
    name: 'audience',
    text: 'Audience (aud) of its tokens for client-side encryption?',
    fallback: () => undefined,
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
    fallback: () => undefined,
    asked: of('google'),
    wrong: text => (/^[1-9][0-9]{3,18}$/.test(text) ? '' : 'it must be the number of a project'),
  },
]
