/** The holdfast command. What it can do is in `program.ts`; this one runs it. */
import { EXIT_REFUSED } from './exit-codes.ts'
import { programFor } from './program.ts'

const program = await programFor(process.argv[2])
try {
  await program.parseAsync()
} catch (error) {
  console.error(`holdfast: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = EXIT_REFUSED
}
