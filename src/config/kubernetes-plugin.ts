/** The configuration of `holdfast ekm kubernetes-plugin`. */
import { z } from 'zod'
import type { ConfigDefinition } from './load.ts'
import * as shared from './shared.ts'
import { unixSocket } from './unix-socket.ts'

const pluginSchema = z.strictObject({
  socket: z.strictObject(unixSocket).describe('what the API server connects to'),
  ekm: z
    .strictObject({
      host: shared.host().describe('where the key manager listens for plugins (kubernetes.listen)'),
      port: shared.port().default(8446).describe('its port'),
      serverName: shared.host().optional().describe('what its certificate names, where that is not the host'),
      caFile: shared.file().describe('PEM file of the only roots that its certificate may chain to'),
      certificateFile: shared.file().describe("PEM file: the plugin's certificate, then its intermediates"),
      keyFile: shared.secretFile().describe('PEM file of its private key, mode 0600'),
    })
    .describe("the owner's key manager, over mutual TLS"),
  tenant: z.string().min(1).max(128).describe('the tenant whose key it is'),
  key: z.string().min(1).max(128).describe("the key's name"),
  deadlineMs: z
    .int()
    .min(100)
    .max(60_000)
    .default(2500)
    .describe("how long an answer of the key manager is waited for; below the API server's timeout, 3000 by default"),
  logging: shared.logging,
})

export type PluginConfig = z.output<typeof pluginSchema>
export type PluginConfigInput = z.input<typeof pluginSchema>

export const pluginConfig: ConfigDefinition<typeof pluginSchema> = {
  service: 'ekm',
  schema: pluginSchema,
  environment: {},
}
