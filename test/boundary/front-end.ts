/**
 * The smallest front end: takes its configuration from the supervisor, connects to the boundary, and says that it is ready. Ends with SIGTERM.
 */
import { connectUse } from '../../src/boundary/client/use.ts'

process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
process.once('message', config => {
  const { socket } = config as { socket: string }
  connectUse({
    socket,
    onWriteSet: async () => {},
    onState: state => {
      if (state.kind === 'connected') process.send?.({ type: 'ready', line: { uid: process.getuid?.() ?? -1 } })
    },
  })
})
