/**
 * A Unix socket that is never open to anyone but its owner, not even for a moment: it is made in a folder that nobody else may enter, given its mode and
 * owner there, and then moved to its name.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, lstatSync, mkdtempSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import type { UnixSocket } from '../../../../config/unix-socket.ts'

export interface UnixDoor {
  /** As the API server's configuration names it. */
  readonly url: string
  /** Stops accepting, and takes the name away. */
  close(): void
}

export const urlOf = ({ path }: Pick<UnixSocket, 'path'>): string => `unix://${path}`

/** Rejects with an Error that says what to change. */
export async function listenUnix(
  socket: UnixSocket,
  connections: number,
  accept: (socket: Socket) => void,
): Promise<UnixDoor> {
  const { path } = socket
  await mayTake(path)
  const server = createServer({ noDelay: true }, accept)
  server.maxConnections = connections
  const folder = makeFolder(path)
  const made = join(folder, 's')
  try {
    await listening(server, made)
    chmodSync(made, socket.group === undefined ? 0o600 : 0o660)
    giveTo(made, socket)
    renameSync(made, path)
  } catch (error) {
    server.close()
    throw error
  } finally {
    rmSync(made, { force: true })
    rmdirSync(folder)
  }
  const { ino } = lstatSync(path)
  return {
    url: urlOf(socket),
    close: () => {
      server.close()
      // Another process may have its own there by now.
      if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true })
    },
  }
}

function makeFolder(path: string): string {
  try {
    return mkdtempSync(`${dirname(path)}/.`)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'does not exist' : `may not be written by this user (${code})`
    throw new Error(`${path}: its folder ${why}`)
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
}

/** What is there may only be a socket that nobody serves any more. */
async function mayTake(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) throw new Error(`${path} exists and is no socket`)
  const served = await new Promise<boolean>(resolve => {
    const probe = connect(path, () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', () => resolve(false))
  })
  if (served) throw new Error(`${path} is served by another process`)
}

function giveTo(path: string, { user, group }: UnixSocket): void {
  if (user === undefined && group === undefined) return
  const own = lstatSync(path)
  const uid = user === undefined ? own.uid : idOf('passwd', user)
  const gid = group === undefined ? own.gid : idOf('group', group)
  try {
    chownSync(path, uid, gid)
  } catch (error) {
    const to = [user, group].filter(name => name !== undefined).join(':')
    throw new Error(`the socket may not be given to ${to} (${(error as NodeJS.ErrnoException).code})`)
  }
}

/** A number stands for itself. */
function idOf(database: 'passwd' | 'group', name: string): number {
  if (/^\d+$/.test(name)) return Number(name)
  try {
    return Number(execFileSync('getent', [database, name], { encoding: 'utf8' }).split(':')[2])
  } catch {
    throw new Error(`there is no ${database === 'group' ? 'group' : 'user'} ${name} on this machine`)
  }
}
