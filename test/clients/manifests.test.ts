/**
 * deploy/kubernetes.yaml read by Kubernetes' own code and held against its pod security standard, and deploy/Containerfile by hadolint. Neither is started here:
 * that takes a container engine and a cluster.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { clients } from '../../bin/clients.mjs'
import pkg from '../../package.json' with { type: 'json' }
import { kmsConfig } from '../../src/config/kms.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ROOT } from '../support/ekm.ts'

const { folder } = clients.manifests
const MANIFEST = readFileSync(join(ROOT, 'deploy', 'kubernetes.yaml'), 'utf8')
const work = mkdtempSync(join(tmpdir(), 'holdfast-manifests-'))
after(() => rmSync(work, { recursive: true, force: true }))

function run(command: string, args: readonly string[], input = ''): { code: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, encoding: 'utf8' })
  return { code: status, output: `${stdout}${stderr}${error?.message ?? ''}` }
}

describe('deploy/kubernetes.yaml', () => {
  const read = (manifest: string) => run(join(folder, 'manifests'), [], manifest)
  const documents = parseAllDocuments(MANIFEST).map(document => document.toJS())
  // biome-ignore lint/suspicious/noExplicitAny: a manifest has the form that Kubernetes gives it
  const find = (kind: string, name = 'holdfast-kms'): any =>
    documents.find(document => document.kind === kind && document.metadata.name === name)

  test('Kubernetes reads every document, and no pod is forbidden under "restricted"', () => {
    const { code, output } = read(MANIFEST)
    assert.equal(code, 0, output)
    const kinds = output
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).kind)
    assert.deepEqual(kinds, [
      'Namespace',
      'ServiceAccount',
      'ConfigMap',
      'Service',
      'Service',
      'StatefulSet',
      'NetworkPolicy',
      'PodDisruptionBudget',
    ])
  })

  test('what is wrong is found', () => {
    const unknown = read(MANIFEST.replace('terminationGracePeriodSeconds', 'terminationGraceSeconds'))
    assert.equal(unknown.code, 1)
    assert.match(unknown.output, /unknown field "spec\.template\.spec\.terminationGraceSeconds"/)
    const open = read(MANIFEST.replace('runAsNonRoot: true', 'runAsNonRoot: false'))
    assert.equal(open.code, 1)
    assert.match(open.output, /runAsNonRoot/)
  })

  test('names in it are of things that are there', () => {
    const { spec } = find('StatefulSet')
    const pod = spec.template.spec
    const volumes = new Set(
      [...pod.volumes, ...spec.volumeClaimTemplates.map((each: { metadata: object }) => each.metadata)].map(
        ({ name }) => name,
      ),
    )
    for (const container of [...pod.initContainers, ...pod.containers]) {
      for (const { name } of container.volumeMounts) assert.ok(volumes.has(name), name)
      assert.equal(container.image, `holdfast:${pkg.version}`)
    }
    assert.equal(pod.volumes[0].configMap.name, find('ConfigMap').metadata.name)
    assert.equal(pod.serviceAccountName, find('ServiceAccount').metadata.name)
    assert.ok(find('Service', spec.serviceName))
    const labels = { 'app.kubernetes.io/name': 'holdfast-kms' }
    assert.deepEqual(spec.template.metadata.labels, labels)
    assert.deepEqual(spec.selector.matchLabels, labels)
    for (const name of ['holdfast-kms', spec.serviceName]) assert.deepEqual(find('Service', name).spec.selector, labels)
    assert.deepEqual(find('NetworkPolicy').spec.podSelector.matchLabels, labels)
    assert.deepEqual(find('PodDisruptionBudget').spec.selector.matchLabels, labels)
    for (const document of documents.slice(1))
      assert.equal(document.metadata.namespace, find('Namespace', 'holdfast').metadata.name)
  })

  test('the configuration in it is right, and what the pod mounts and asks is what it says', () => {
    const file = join(work, 'kms.yaml')
    writeFileSync(file, find('ConfigMap').data['kms.yaml'])
    const { listen, operations, data, boundary } = loadConfig(file, kmsConfig, { env: {}, files: false })
    const [container] = find('StatefulSet').spec.template.spec.containers
    assert.equal(listen.port, container.ports[0].containerPort)
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'])
      assert.equal(container[probe].exec.command[3], `http://127.0.0.1:${operations.port}`)
    const mounts = container.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)
    const files = [data, listen.tls?.keyFile ?? '', boundary.root.kind === 'keyfile' ? boundary.root.file : '']
    for (const path of files)
      assert.ok(
        mounts.some((mount: string) => path.startsWith(`${mount}/`)),
        path,
      )
  })
})

describe('deploy/Containerfile', () => {
  const text = readFileSync(join(ROOT, 'deploy', 'Containerfile'), 'utf8')
  const lint = (content: string) => run(join(folder, 'toolchain', 'bin', 'hadolint'), ['-'], content)

  test('hadolint finds nothing', () => {
    assert.deepEqual(lint(text), { code: 0, output: '' })
    const { code, output } = lint(text.replace('USER 10001:10001', 'USER root'))
    assert.equal(code, 1)
    assert.match(output, /DL3002/)
  })

  test('the health check asks where the manifest’s configuration and deploy/kms.yaml listen', () => {
    const [, port] = /"health", "--url", "http:\/\/127\.0\.0\.1:(\d+)"/.exec(text) ?? []
    const config = loadConfig(join(ROOT, 'deploy', 'kms.yaml'), kmsConfig, { env: {}, files: false })
    assert.equal(config.operations.port, Number(port))
  })
})
