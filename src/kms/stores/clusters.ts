/** Custom key stores of type AWS_CLOUDHSM: a configured PKCS#11 token for each cluster. aws-kms.md §3.11. */
import { X509Certificate } from 'node:crypto'
import { KmsError } from '../wire/errors.ts'
import type { KeyStore } from './rows.ts'

/** SHA-256 fingerprints of the certificates in a PEM text; empty where there is none that can be read. */
function fingerprints(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  try {
    return blocks.map(block => new X509Certificate(block).fingerprint256)
  } catch {
    return []
  }
}

/** Throws unless the cluster is configured, has this trust anchor, and no other store is made of it. `others`: all stores of this deployment. */
export function checkCluster(
  configured: ReadonlyMap<string, string>,
  others: readonly KeyStore[],
  { clusterId, trustAnchor }: { readonly clusterId: string; readonly trustAnchor: string },
): void {
  const anchor = configured.get(clusterId)
  if (anchor === undefined)
    throw new KmsError('CloudHsmClusterNotFoundException', `The AWS CloudHSM cluster ${clusterId} was not found.`)
  if (others.some(other => other.clusterId === clusterId)) {
    throw new KmsError(
      'CloudHsmClusterInUseException',
      `The AWS CloudHSM cluster ${clusterId} is associated with a custom key store already.`,
    )
  }
  const given = fingerprints(trustAnchor)
  const wanted = fingerprints(anchor)
  if (given.length === 0 || !given.every(fingerprint => wanted.includes(fingerprint))) {
    throw new KmsError(
      'IncorrectTrustAnchorException',
      'The trust anchor certificate in the request is not the trust anchor certificate of the cluster.',
    )
  }
}
