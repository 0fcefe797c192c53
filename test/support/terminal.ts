/** A command on a terminal of its own, and what a person does there. Through `script`, which gives it one. */
import { spawn } from 'node:child_process'

/** Called with all that the terminal has shown so far; what it returns is typed. Undefined: nothing yet. */
export type Typist = (seen: string) => string | undefined

/** Runs a shell command; resolves with its exit code and what was shown. */
export function onTerminal(
  command: string,
  { cwd, env, typist }: { readonly cwd: string; readonly env: NodeJS.ProcessEnv; readonly typist: Typist },
): Promise<{ readonly code: number | null; readonly seen: string }> {
  const child = spawn('script', ['-qefc', command, '/dev/null'], { cwd, env, stdio: ['pipe', 'pipe', 'inherit'] })
  let seen = ''
  child.stdout.on('data', text => {
    seen += String(text)
    const typed = typist(seen)
    if (typed !== undefined) child.stdin.write(typed)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => {
      child.stdin.destroy()
      resolve({ code, seen })
    })
  })
}
