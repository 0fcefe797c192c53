/**
 * The configuration of the owner's service, `holdfast ekm`.
 */
import { z } from 'zod'
import { admin } from './ekm-admin.ts'
import { azure } from './ekm-azure.ts'
import { checkDke, dke } from './ekm-dke.ts'
import { checkGoogle, googleExperimental } from './ekm-google.ts'
import { checkKacls, kacls } from './ekm-kacls.ts'
import { checkKubernetes, kubernetes } from './ekm-kubernetes.ts'
import { load, metrics } from './ekm-load.ts'
import { rules } from './ekm-rules.ts'
import type { ConfigDefinition } from './load.ts'
import * as shared from './shared.ts'

export const ekmSchema = z.strictObject({
  data: shared.dataFolder,
  listen: z
    .strictObject({
      host: shared.host().default('127.0.0.1').describe('address to listen on'),
      port: shared.port().default(8444).describe('port of the external key protocols'),
      tls: shared.tls.optional(),
      ping: z
        .strictObject({
          host: shared.host().optional().describe('address to listen on; default: that of the proxy'),
          port: shared.port().describe('port of GET /ping'),
        })
        .optional()
        .describe('GET /ping for load balancers, with the same certificate and without asking for theirs'),
    })
    .prefault({})
    .describe('the XKS proxy API; path prefixes are tenants'),
  azure: azure,
  kubernetes: kubernetes,
  dke,
  kacls,
  googleExperimental,
  boundary: shared.ownersBoundary,
  log: shared.log,
  replay: z
    .strictObject({
      repeatMs: z
        .int()
        .min(0)
        .max(10_000)
        .default(2000)
        .describe('how long after the first a byte-identical request is answered once more'),
      remembered: z
        .int()
        .min(1000)
        .max(10_000_000)
        .default(1_000_000)
        .describe(
          'requests remembered for each credential; when that many came within the window, further ones are refused',
        ),
    })
    .prefault({})
    .describe('requests that come twice'),
  rules,
  admin: admin.optional(),
  health: z
    .strictObject({
      everyMs: z
        .int()
        .min(1000)
        .max(60_000)
        .default(10_000)
        .describe('how long the result of a check with the test key stands'),
    })
    .prefault({})
    .describe("the health answer, which does real cryptography on the boundary's test key"),
  load,
  metrics,
  limits: shared.limits,
  cache: shared.cache,
  operations: shared.operations,
  logging: shared.logging,
})

export type EkmConfig = z.output<typeof ekmSchema>
/** What a file may hold: everything with a default may be left out. */
export type EkmConfigInput = z.input<typeof ekmSchema>

export const ekmConfig: ConfigDefinition<typeof ekmSchema> = {
  service: 'ekm',
  schema: ekmSchema,
  environment: {
    HOLDFAST_EKM_DATA: 'data',
    HOLDFAST_EKM_LISTEN_HOST: 'listen.host',
    HOLDFAST_EKM_LISTEN_PORT: 'listen.port',
    HOLDFAST_EKM_OPERATIONS_PORT: 'operations.port',
    HOLDFAST_EKM_LOGGING_LEVEL: 'logging.level',
  },
  check: config => [
    ...shared.checkListen('listen', config.listen),
    ...shared.checkRoot(config.boundary.root),
    ...shared.checkTokens(config.boundary.tokens),
    ...shared.checkRenewal(config.boundary),
    ...(config.admin !== undefined && config.boundary.users !== undefined && config.boundary.users.admin === undefined
      ? [{ path: 'boundary.users.admin', message: 'the admin API needs a user of its own' }]
      : []),
    ...checkKubernetes(config.kubernetes),
    ...checkDke(config.dke),
    ...checkKacls(config.kacls),
    ...checkGoogle(config.googleExperimental),
  ],
}
