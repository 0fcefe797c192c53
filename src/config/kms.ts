/**
 * The configuration of the provider's service, `holdfast kms`.
 */
import { z } from 'zod'
import type { ConfigDefinition } from './load.ts'
import { quotas } from './quotas.ts'
import * as shared from './shared.ts'

const REGION = /^[a-z]{2}(?:-[a-z]+)+-\d{1,2}$/
const SERVICE = /^[a-z][a-z0-9-]{0,62}$/
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/
const CONNECT = /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/

const xksHost = z
  .strictObject({
    connect: z
      .string()
      .regex(CONNECT, { error: 'must be host:port' })
      .describe('where to connect to instead: host:port'),
    caFile: shared
      .file()
      .optional()
      .describe("PEM file of the roots for the proxy's certificate; default: the public ones"),
    certificateFile: shared.file().optional().describe('PEM file of our client certificate'),
    keyFile: shared.secretFile().optional().describe('PEM file of its private key, mode 0600'),
  })
  .describe('one host name of external key store proxies')

const CLUSTER_ID = /^cluster-[2-7a-zA-Z]{11,16}$/
const cluster = z
  .strictObject({
    ...shared.tokenAccess,
    trustAnchorFile: shared
      .file()
      .describe('PEM file of the certificate that CreateCustomKeyStore must name as TrustAnchorCertificate'),
  })
  .describe('one PKCS#11 token; its PIN is the KeyStorePassword of the key store that is made of it')

export const kmsSchema = z.strictObject({
  data: shared.dataFolder,
  listen: z
    .strictObject({
      host: shared.host().default('127.0.0.1').describe('address to listen on'),
      port: shared.port().default(8443).describe('port of the AWS KMS API'),
      tls: shared.tls.optional(),
    })
    .prefault({})
    .describe('the AWS KMS API'),
  regions: z
    .array(z.string().regex(REGION, { error: 'must look like eu-central-1' }))
    .min(1)
    .max(64)
    .describe('Regions that are served; requests name theirs in the credential scope'),
  account: z
    .string()
    .regex(/^\d{12}$/, { error: 'must be 12 digits' })
    .optional()
    .describe("account that the administrator's commands take by default"),
  services: z
    .array(z.string().regex(SERVICE, { error: 'must be lower-case letters, digits and "-"' }))
    .max(256)
    .default(['objects'])
    .describe(
      "short names of the provider's own services: each has a key of its own in every account, alias/aws/<name>, made when it is first used",
    ),
  boundary: shared.boundary,
  log: shared.log,
  xks: z
    .strictObject({
      hosts: z
        .record(z.string().regex(HOST_NAME, { error: 'must be a host name in lower case' }), xksHost)
        .default({})
        .describe(
          'host names of external key stores that are reached another way; all others go to port 443 with public roots, and never to private addresses',
        ),
    })
    .prefault({})
    .describe('external key stores'),
  cloudHsm: z
    .strictObject({
      clusters: z
        .record(z.string().regex(CLUSTER_ID, { error: 'must look like cluster-1234567890a' }), cluster)
        .default({})
        .describe(
          'PKCS#11 tokens that custom key stores of type AWS_CLOUDHSM are made of, each by the id of its cluster',
        ),
    })
    .prefault({})
    .describe('custom key stores in a PKCS#11 token of the provider'),
  attestation: z
    .strictObject({
      roots: z
        .array(shared.file())
        .max(16)
        .default([])
        .describe(
          'PEM files of the roots that attestation documents may chain to (docs/attestation.md); empty: Recipient is refused',
        ),
    })
    .prefault({})
    .describe('attestation documents of enclaves and instances, given in Recipient'),
  quotas,
  limits: shared.limits,
  cache: shared.cache,
  operations: shared.operations,
  logging: shared.logging,
})

export type KmsConfig = z.output<typeof kmsSchema>
/** What a file may hold: everything with a default may be left out. */
export type KmsConfigInput = z.input<typeof kmsSchema>

export const kmsConfig: ConfigDefinition<typeof kmsSchema> = {
  service: 'kms',
  schema: kmsSchema,
  environment: {
    HOLDFAST_KMS_DATA: 'data',
    HOLDFAST_KMS_LISTEN_HOST: 'listen.host',
    HOLDFAST_KMS_LISTEN_PORT: 'listen.port',
    HOLDFAST_KMS_REGIONS: 'regions',
    HOLDFAST_KMS_OPERATIONS_PORT: 'operations.port',
    HOLDFAST_KMS_LOGGING_LEVEL: 'logging.level',
  },
  check: config => [
    ...shared.checkListen('listen', config.listen),
    ...shared.checkRoot(config.boundary.root),
    ...repeated('regions', config.regions),
    ...Object.entries(config.cloudHsm.clusters).flatMap(([id, token]) =>
      shared.checkToken(`cloudHsm.clusters.${id}`, token),
    ),
    ...repeated('services', config.services),
    ...Object.entries(config.xks.hosts).flatMap(([name, { certificateFile, keyFile, connect }]) => {
      const path = `xks.hosts.${name}`
      const problems: { path: string; message: string }[] = []
      if ((certificateFile === undefined) !== (keyFile === undefined)) {
        problems.push({ path, message: 'give both certificateFile and keyFile, or neither' })
      }
      const number = Number(connect.slice(connect.lastIndexOf(':') + 1))
      if (number < 1 || number > 65535)
        problems.push({ path: `${path}.connect`, message: 'must name a port from 1 to 65535' })
      return problems
    }),
  ],
}

function repeated(path: string, values: readonly string[]): { path: string; message: string }[] {
  return new Set(values).size === values.length ? [] : [{ path, message: 'names one of them twice' }]
}
