/** The root of trust: its kind, its generations, and whether it opens the folder. */
import { existsSync } from 'node:fs'
import { resolve, sep } from 'node:path'
import { openKeyFile } from '../../boundary/root/keyfile.ts'
import { openRoot } from '../../boundary/root/rootfile.ts'
import { RootError } from '../../boundary/root/types.ts'
import { filesIn } from '../../boundary/service/folder.ts'
import { type Finding, finding } from './findings.ts'
import type { Subject } from './subject.ts'

export async function checkRoot(subject: Subject): Promise<Finding[]> {
  const { root, rootProblem, boundary, config } = subject
  if (root === undefined) {
    if (rootProblem !== 'ENOENT') return [finding('root-damaged', `${filesIn(boundary).root}: ${rootProblem}`)]
    const lost = existsSync(filesIn(boundary).journal)
    return lost ? [finding('root-missing', `${filesIn(boundary).root} is missing beside a journal`)] : []
  }
  const configured = config?.settings.boundary.root
  if (config !== undefined && configured !== undefined && configured.kind !== root.kind)
    return [
      finding('root-kind', `the folder’s root is of kind ${root.kind}, and the configuration’s ${configured.kind}`, {
        kind: root.kind,
        config: config.file,
      }),
    ]
  const generations = root.generations.length
  const older = `${generations} generations of the root open keys`
  return [
    ...(await opens(subject)),
    ...(generations > 1 ? [finding('root-generations', older)] : []),
    ...beside(subject),
  ]
}

async function opens({ root, running, config, data }: Subject): Promise<Finding[]> {
  if (root === undefined) return []
  const made = `made ${new Date(root.createdAt).toISOString().slice(0, 10)}`
  if (running !== undefined && !running.locked)
    return [finding('root-open', `a root of kind ${root.kind} (${made}) has opened the boundary`)]
  const configured = config?.settings.boundary.root
  const asked = (how: string): Finding[] => [
    finding('root-asked', `a root of kind ${root.kind} (${made}) was not tried`, { how }),
  ]
  if (root.kind === 'passphrase') return asked(`Start the service, and: holdfast unlock --data ${data}`)
  if (configured === undefined) return asked('Give --config, which names it.')
  // A wrong PIN counts at the token: it is not tried here.
  if (configured.kind !== 'keyfile') return asked('Start the service, which logs in to the token.')
  try {
    await openRoot(await openKeyFile(configured.file), root)
    return [finding('root-opens', `the key file ${configured.file} opens it (${made})`)]
  } catch (error) {
    if (!(error instanceof RootError)) throw error
    return [finding(error.code === 'Damaged' ? 'root-damaged' : 'root-wrong', error.message)]
  }
}

function beside({ config, data, root }: Subject): Finding[] {
  const configured = config?.settings.boundary.root
  if (configured?.kind !== 'keyfile' || root?.dev === true) return []
  const file = resolve(configured.file)
  return file.startsWith(`${resolve(data)}${sep}`)
    ? [finding('root-beside', `the key file ${file} lies in the folder that it opens`, { path: file })]
    : []
}
