/** A Unix socket that others of this machine connect to, as a setting. */
import { z } from 'zod'

/** `sun_path` holds 107 bytes, and the socket is made beside its place. */
const MAX_PATH = 96

export const unixSocket = {
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]+$/, { error: 'must be an absolute path without spaces' })
    .max(MAX_PATH)
    .describe('absolute path of the socket; its folder must exist'),
  user: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe('owner of the socket; default: the user that the service runs as'),
  group: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe('group whose members may connect too (mode 0660); default: only the owner may (mode 0600)'),
} as const

const object = z.strictObject(unixSocket)
export type UnixSocket = z.output<typeof object>
