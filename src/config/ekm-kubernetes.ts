/** Kubernetes KMS v2, as settings of the key manager. */
import { z } from 'zod'
import * as shared from './shared.ts'
import { unixSocket } from './unix-socket.ts'

const socket = z.strictObject({
  ...unixSocket,
  tenant: z.string().min(1).max(128).describe('the tenant whose key it is'),
  key: z.string().min(1).max(128).describe("the key's name; every version of it decrypts, the newest encrypts"),
})

export const kubernetes = z
  .strictObject({
    sockets: z
      .array(socket)
      .max(64)
      .default([])
      .describe('a socket for each API server on this machine: path, tenant, key, user, group'),
    listen: z
      .strictObject({
        host: shared.host().default('127.0.0.1').describe('address to listen on'),
        port: shared.port().default(8446).describe('port for the plugins on other machines'),
        tls: shared.tls.extend({ clients: shared.clients }),
      })
      .optional()
      .describe('holdfast ekm kubernetes-plugin on other machines, over mutual TLS'),
  })
  .optional()
  .describe('Kubernetes KMS v2')

export function checkKubernetes(settings: z.output<typeof kubernetes>): { path: string; message: string }[] {
  const paths = settings?.sockets.map(({ path }) => path) ?? []
  return paths.flatMap((path, at) =>
    paths.indexOf(path) === at ? [] : [{ path: `kubernetes.sockets.${at}.path`, message: `is given twice: ${path}` }],
  )
}
