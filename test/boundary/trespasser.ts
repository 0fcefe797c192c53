/**
 * What another user can do in a boundary's folder: each attempt, and what the kernel said to it.
 */
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'

const folder = process.argv[2] ?? ''
const at = (...names: string[]): string => path.join(folder, ...names)
const attempt = (work: () => void): string => {
  try {
    work()
    return 'ok'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'error'
  }
}
const connect = (file: string): Promise<string> =>
  new Promise(resolve => {
    const socket = net.connect(file)
    socket.once('error', error => resolve((error as NodeJS.ErrnoException).code ?? 'error'))
    socket.once('connect', () => {
      socket.destroy()
      resolve('ok')
    })
  })

console.log(
  JSON.stringify({
    'list the folder': attempt(() => fs.readdirSync(folder)),
    'read the root file': attempt(() => fs.readFileSync(at('root'))),
    'read the key file': attempt(() => fs.readFileSync(at('root.key'))),
    'list the journal': attempt(() => fs.readdirSync(at('journal'))),
    'write a file': attempt(() => fs.writeFileSync(at('mine'), '')),
    'remove the use socket': attempt(() => fs.unlinkSync(at('use.sock'))),
    'connect to control.sock': await connect(at('control.sock')),
    'connect to use.sock': await connect(at('use.sock')),
  }),
)
