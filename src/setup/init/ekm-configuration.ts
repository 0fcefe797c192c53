/** From answers to a configuration file: what was asked, and nothing that has a sound default. */
import { join } from 'node:path'
import type { EkmConfigInput } from '../../config/ekm.ts'
import type { Certificates } from './certificates.ts'
import type { EkmAnswers as Answers } from './ekm-answers.ts'
import { boundaryOf } from './questions.ts'

/** Ports of the protocols: the clouds call 443, which is forwarded to these. */
export const PORTS = {
  xks: 8444,
  azure: 8445,
  kubernetes: 8446,
  dke: 8447,
  kacls: 8448,
  google: 8450,
  operations: 9444,
} as const

/** Names of the keys that the next steps make, one for each cloud. */
export const KEY_NAMES = {
  xks: 'aws',
  azure: 'azure',
  kubernetes: 'kubernetes',
  dke: 'documents',
  kacls: 'workspace',
  kaclsSigner: 'workspace-signer',
  google: 'google',
} as const

export const dataOf = ({ folder }: Pick<Answers, 'folder'>): string => join(folder, 'data')
export const configOf = ({ folder }: Pick<Answers, 'folder'>): string => join(folder, 'ekm.yaml')

/** Every address, where a cloud is to reach it. */
const EVERYWHERE = '0.0.0.0'

export function configuration(answers: Answers, certificates: Certificates): EkmConfigInput {
  const { clouds, tenant } = answers
  const { certificateFile, keyFile, clientCaFile = '', clientName } = certificates
  const server = { certificateFile, keyFile }
  const clients = { caFile: clientCaFile, ...(clientName === undefined ? {} : { subjects: [clientName] }) }
  return {
    data: dataOf(answers),
    // The proxy API of AWS has a listener always; nobody else's needs to reach it.
    listen: clouds.includes('xks')
      ? { host: EVERYWHERE, port: PORTS.xks, tls: { ...server, clients } }
      : { host: '127.0.0.1', port: PORTS.xks, tls: server },
    ...(clouds.includes('azure') && { azure: { host: EVERYWHERE, port: PORTS.azure, tls: { ...server, clients } } }),
    ...(clouds.includes('kubernetes') && {
      kubernetes: { sockets: [{ path: join(dataOf(answers), 'kms.sock'), tenant, key: KEY_NAMES.kubernetes }] },
    }),
    ...tokenClouds(answers, server),
    boundary: boundaryOf(answers, join(answers.folder, 'root.key')),
    operations: { port: PORTS.operations },
  }
}

/** The clouds whose callers show tokens. */
function tokenClouds(
  answers: Answers,
  tls: Pick<Certificates, 'certificateFile' | 'keyFile'>,
): Partial<EkmConfigInput> {
  const { clouds, host, tenant } = answers
  const { directory = '', issuer = '', audience = '', issuerKeys = '', project = '' } = answers
  const publicUrl = `https://${host}`
  const listen = (port: number) => ({ host: EVERYWHERE, port, tls })
  return {
    ...(clouds.includes('dke') && {
      dke: {
        ...listen(PORTS.dke),
        publicUrl,
        tenants: {
          [tenant]: {
            directory,
            audience: publicUrl,
            issuers: {
              [`https://sts.windows.net/${directory}/`]: {
                audiences: [publicUrl],
                keys: `https://login.microsoftonline.com/${directory}/discovery/keys`,
              },
            },
            keys: { [KEY_NAMES.dke]: { emails: [], roles: [] } },
          },
        },
      },
    }),
    ...(clouds.includes('kacls') && {
      kacls: {
        ...listen(PORTS.kacls),
        publicUrl,
        tenants: {
          [tenant]: {
            key: KEY_NAMES.kacls,
            signingKey: KEY_NAMES.kaclsSigner,
            authentication: { [issuer]: { audiences: [audience], keys: issuerKeys } },
          },
        },
      },
    }),
    ...(clouds.includes('google') && {
      googleExperimental: {
        ...listen(PORTS.google),
        tenants: {
          [tenant]: {
            issuers: {
              'https://accounts.google.com': {
                audiences: [publicUrl],
                keys: 'https://www.googleapis.com/oauth2/v3/certs',
              },
            },
            serviceAccounts: [`service-${project}@gcp-sa-ekms.iam.gserviceaccount.com`],
          },
        },
      },
    }),
  }
}
