/** All that is looked at, in the order in which the findings help. Nothing is changed, but for one file that is made and removed on the data folder's disk. */
import { checkBackup } from './backup.ts'
import { checkCertificates } from './certificates.ts'
import { checkDisk } from './disk.ts'
import type { Finding } from './findings.ts'
import { checkLog } from './log.ts'
import { checkClock, checkEntropy, checkProgram, checkSwap } from './machine.ts'
import { checkPermissions } from './permissions.ts'
import { checkConfig, checkIsolation, checkLimits, checkService } from './process.ts'
import { checkRoot } from './root.ts'
import { type Machine, type Subject, THIS_MACHINE } from './subject.ts'

export async function examine(
  subject: Subject,
  machine: Machine = THIS_MACHINE,
  onProgress: (share: number) => void = () => {},
): Promise<Finding[]> {
  const log = await checkLog(subject, onProgress)
  return [
    ...checkProgram(machine),
    ...checkService(subject),
    ...checkConfig(subject),
    ...checkPermissions(subject),
    ...(await checkIsolation(subject, machine)),
    ...(await checkSwap(machine, subject)),
    ...checkClock(machine, log.lastTime),
    ...(await checkEntropy(machine)),
    ...(await checkDisk(subject, machine)),
    ...(await checkLimits(subject, machine)),
    ...checkCertificates(subject, machine),
    ...(await checkRoot(subject)),
    ...log.findings,
    ...(await checkBackup(subject, machine)),
  ]
}
