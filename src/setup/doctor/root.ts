/** The root of trust: its kind, its generations, and whether it opens the folder. */
import { existsSync } from 'node:fs'
import { resolve, sep } from 'node:path'
import { openKeyFile } from '../../boundary/root/keyfile.ts'
import { openRoot, type RootFile } from '../../boundary/root/rootfile.ts'
import { readParameters } from '../../boundary/root/shares.ts'
import { RootError } from '../../boundary/root/types.ts'
import { filesIn } from '../../boundary/service/folder.ts'
import { type Finding, finding } from './findings.ts'
import type { Subject } from './subject.ts'

export async function checkRoot(subject: Subject): Promise<Finding[]> {
  const { root, rootProblem, rootNewer, boundary, config } = subject
  if (root === undefined) {
    if (rootProblem !== 'ENOENT')
      return [finding(rootNewer ? 'root-newer' : 'root-damaged', `${filesIn(boundary).root}: ${rootProblem}`)]
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
      ...rotation(subject, root),
    ]
  return [...(await opens(subject, root)), ...rotation(subject, root), ...beside(subject)]
}

async function opens({ running, config, data }: Subject, root: RootFile): Promise<Finding[]> {
  try {
    const is = `a root of kind ${kindOf(root)} (made ${day(root.createdAt)})`
    if (running !== undefined && !running.locked) return [finding('root-open', `${is} has opened the boundary`)]
    const asked = (how: string): Finding[] => [finding('root-asked', `${is} was not tried`, { how })]
    const start = running === undefined ? 'Start the service, and: ' : ''
    if (root.kind === 'passphrase') return asked(`${start}holdfast unlock --data ${data}`)
    if (root.kind === 'shares')
      return asked(`${start}holdfast unlock --data ${data}, by one holder after another (docs/shares.md)`)
    const configured = config?.settings.boundary.root
    if (configured === undefined) return asked('Give --config, which names it.')
    // A wrong PIN counts at the token: it is not tried here.
    if (configured.kind !== 'keyfile') return asked('Start the service, which logs in to the token.')
    await openRoot(await openKeyFile(configured.file), root)
    return [finding('root-opens', `the key file ${configured.file} opens it (made ${day(root.createdAt)})`)]
  } catch (error) {
    if (!(error instanceof RootError)) throw error
    return [finding(error.code === 'Damaged' ? 'root-damaged' : 'root-wrong', error.message)]
  }
}

/** Throws `RootError` Damaged. */
function kindOf({ kind, boundaryId, parameters }: RootFile): string {
  if (kind !== 'shares') return kind
  const { threshold, count } = readParameters(boundaryId, parameters)
  return `${kind}, of which ${threshold} of ${count} open it`
}

/** What the boundary says of it, where one runs and is open: else what the root file does. */
function rotation({ rotation: said, data, boundary }: Subject, root: RootFile): Finding[] {
  const { generations, destroyed, destroyedAt } = said ?? root
  const values = { data, path: filesIn(boundary).root }
  const newest = generations.at(-1)?.generation ?? 0
  const gone = `generation ${destroyed} of the root was destroyed on ${day(destroyedAt)}, and ${newest} is in force`
  const findings = destroyed === 0 ? [] : [finding('root-destroyed', gone, values)]
  if (generations.length < 2) return findings
  const under = `a rotation from generation ${generations[0]?.generation} of the root to ${newest} is under way`
  if (said === undefined) return [...findings, finding('root-rotation-rests', under, values)]
  const far = `${under}: ${said.done} of ${said.total} rows are sealed anew`
  if (said.problem === '') return [...findings, finding('root-rotating', far, values)]
  return [...findings, finding('root-rotation-stuck', `${far}, and it does not go on: ${said.problem}`, values)]
}

function beside({ config, data, root }: Subject): Finding[] {
  const configured = config?.settings.boundary.root
  if (configured?.kind !== 'keyfile' || root?.dev === true) return []
  const file = resolve(configured.file)
  return file.startsWith(`${resolve(data)}${sep}`)
    ? [finding('root-beside', `the key file ${file} lies in the folder that it opens`, { path: file })]
    : []
}

const day = (at: number): string => new Date(at).toISOString().slice(0, 10)
