/** Where a service keeps what. Without the schemas beside it: a front end, which gets its settings checked, loads none of them. */
import { join } from 'node:path'

/** Folders of a service under its data folder: the boundary's own, the front end's own, and that of the admin API's socket. */
export function serviceFolders(data: string): {
  readonly boundary: string
  readonly frontEnd: string
  readonly admin: string
} {
  return { boundary: join(data, 'boundary'), frontEnd: join(data, 'front-end'), admin: join(data, 'admin') }
}
