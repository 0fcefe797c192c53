/**
 * What a provider does before any revocation, knowing that it may be compelled one day: it backs its folder up, keeps the data keys that it is given, and
 * captures requests that the owner answers. Nothing of it shows to the owner but the reads themselves.
 */
import { chmod, copyFile, mkdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { blobKind } from '../../boundary/crypto/envelope.ts'
import type { CustodyPlan } from '../plan.ts'
import { writeCaptured } from './captured.ts'
import { sealedFile } from './files.ts'
import { filesOf } from './folder.ts'
import { Holdings, type Provider } from './holdings.ts'
import { digestOf, ProxyAccess, type SignedRequest } from './proxy.ts'
import { RouteFailure } from './route.ts'

/**
 * Run it before the reads that count as "read before": data keys are kept from here on. A second run makes the backup anew. Rejects where a part
 * of it could not be done, since an attempt without it would prove nothing.
 */
export async function prepareCompel(plan: CustodyPlan, options: { readonly keepRoot?: boolean } = {}): Promise<void> {
  await keepDataKeys(plan.dataService)
  if (!plan.provider) return
  await backUp(plan.provider)
  if (options.keepRoot === true) await keepRoot(plan.provider)
  else await forgetRoot(plan.provider)
  await captureRequests(plan, plan.provider)
}

async function keepDataKeys({ endpoint, operatorToken }: CustodyPlan['dataService']): Promise<void> {
  const headers = { authorization: `Bearer ${operatorToken}` }
  const response = await fetch(`${endpoint}/v1/-/keep`, { method: 'POST', headers })
  await response.body?.cancel()
  if (!response.ok)
    throw new RouteFailure('NotKeeping', `The data service does not keep data keys: HTTP ${response.status}.`)
}

/** Copies the store as of one instant, beside the running service. The root stays where it is, as with `holdfast backup`. */
export async function backUp(provider: Pick<Provider, 'folder' | 'backup'>): Promise<void> {
  const from = filesOf(provider.folder)
  const to = filesOf(provider.backup)
  for (const file of Object.values(to)) await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const part = `${to.store}.part`
  await rm(part, { force: true })
  const source = new DatabaseSync(from.store, { readOnly: true, timeout: 5000 })
  try {
    // In one step: between steps a busy service would make it begin again.
    await backup(source, part, { rate: 0x7fffffff })
  } finally {
    source.close()
  }
  await chmod(part, 0o600)
  for (const left of [`${to.store}-wal`, `${to.store}-shm`]) await rm(left, { force: true })
  await rename(part, to.store)
}

/** Copies the root beside the backup: what a provider must not do that wants its deletions to be final. */
export async function keepRoot(provider: Pick<Provider, 'folder' | 'backup' | 'rootFile'>): Promise<void> {
  const from = filesOf(provider.folder)
  const to = filesOf(provider.backup)
  for (const [source, copy] of [
    [from.root, to.root],
    [provider.rootFile, to.keyFile],
  ] as const) {
    await copyFile(source, `${copy}.part`)
    await chmod(`${copy}.part`, 0o600)
    await rename(`${copy}.part`, copy)
  }
}

/** A copy of an earlier preparation would be tried as one of this. */
async function forgetRoot({ backup }: Provider): Promise<void> {
  const { root, keyFile } = filesOf(backup)
  for (const file of [root, keyFile]) await rm(file, { force: true })
}

/** One answered request for each file that is read, as a tap between the provider's KMS and the owner would see it. */
async function captureRequests(plan: CustodyPlan, provider: Provider): Promise<void> {
  const files = filesOf(provider.backup)
  const captured = new Map<string, SignedRequest>()
  if (provider.xks) {
    const { region } = plan.kms
    const proxy = new ProxyAccess(provider.xks, region, await Holdings.all(provider, region))
    try {
      for (const model of plan.models) {
        for (const plain of model.files.filter(file => file.read)) {
          const file = await sealedFile(plan, model, plain)
          if (blobKind(file.encryptedDataKey) !== 'envelope') break
          const request = await proxy.request(file, model.keyArn)
          const dataKey = await proxy.send(request, file)
          dataKey.fill(0)
          captured.set(digestOf(file.encryptedDataKey), request)
        }
      }
    } finally {
      await proxy.close()
    }
  }
  await writeCaptured(files.captured, captured)
}
