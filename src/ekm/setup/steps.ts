/** What is to be done after `holdfast ekm init`, for each cloud, with the values of this key manager in it. */
import { join } from 'node:path'
import { uriPath } from '../keys/names.ts'
import type { ProtocolName } from '../keys/protocols.ts'
import type { Answers } from './answers.ts'
import type { Certificates } from './certificates.ts'
import { configOf, dataOf, PORTS } from './configuration.ts'

export interface Step {
  /** For whom and what for; a sentence. */
  readonly title: string
  /** Commands as they are typed, or values as they are entered. */
  readonly lines: readonly string[]
}

type Steps = (answers: Answers, certificates: Certificates) => readonly Step[]

const forward = (host: string, port: number): Step => ({
  title: `Let the cloud in: it calls ${host} on port 443, which is to be forwarded to ${port} of this machine without ending TLS on the way.`,
  lines: [],
})

const trial = ({ rootFile }: Certificates): string => (rootFile === undefined ? '' : ` --ca ${rootFile}`)

const xks: Steps = (answers, certificates) => {
  const { host, tenant, folder } = answers
  const data = `--data ${dataOf(answers)}`
  const importFile = join(folder, 'xks-proxy.json')
  const { made } = certificates
  const provider = made.find(file => file.endsWith('trial-provider.pem'))
  const client = provider === undefined ? '' : ` --cert ${provider} --key-file ${provider.replace(/pem$/, 'key')}`
  return [
    {
      title:
        'A key for AWS, and the credential that AWS signs with; the file is for the AWS console, and its secret stands nowhere else.',
      lines: [
        `holdfast ekm key create aws --tenant ${tenant} ${data}`,
        `holdfast ekm credential create --tenant ${tenant} --import-file ${importFile} ${data}`,
      ],
    },
    forward(host, PORTS.xks),
    {
      title: 'Look at it as AWS will.',
      lines: [
        `holdfast ekm doctor https://${host}/${tenant} --cloud xks --import-file ${importFile}${client}${trial(certificates)}`,
      ],
    },
    {
      title:
        'Tell AWS (docs/xks.md): the server’s certificate must be of a public CA there, and the client certificate is AWS’s own.',
      lines: [
        `aws kms create-custom-key-store --cli-input-json file://${importFile} --custom-key-store-name ${tenant.replaceAll('/', '-')} --custom-key-store-type EXTERNAL_KEY_STORE --xks-proxy-connectivity PUBLIC_ENDPOINT --xks-proxy-uri-endpoint https://${host}`,
        `# XksProxyUriPath, which the file holds: ${uriPath(tenant)}`,
        'aws kms connect-custom-key-store --custom-key-store-id STORE',
        'aws kms create-key --origin EXTERNAL_KEY_STORE --custom-key-store-id STORE --xks-key-id aws',
      ],
    },
  ]
}

const azure: Steps = (answers, certificates) => {
  const { host, tenant } = answers
  const data = `--data ${dataOf(answers)}`
  const ca = certificates.rootFile ?? 'SERVER-CA.pem'
  return [
    {
      title:
        'A key for Azure, and the certificate that may speak for the tenant (the pool’s, as az keyvault ekm-connection certificate show tells).',
      lines: [
        `holdfast ekm key create azure --tenant ${tenant} ${data}`,
        `holdfast ekm tenant set-clients ${tenant} ${certificates.clientName ?? 'POOL.managedhsmclient.azure.net'} ${data}`,
      ],
    },
    forward(host, PORTS.azure),
    {
      title: 'Tell Azure (docs/azure.md).',
      lines: [
        `az keyvault ekm-connection create --hsm-name HSM --host ${host} --server-ca-certificate ${ca} --path-prefix /${tenant}`,
        'az keyvault ekm-connection check --hsm-name HSM',
        'az keyvault key create --hsm-name HSM --name KEY --external-key-id azure',
      ],
    },
  ]
}

const kubernetes: Steps = answers => {
  const { tenant } = answers
  const data = dataOf(answers)
  return [
    {
      title: 'A key for the API server of this machine.',
      lines: [`holdfast ekm key create kubernetes --tenant ${tenant} --data ${data}`],
    },
    {
      title: 'Tell the API server (docs/kubernetes.md): its EncryptionConfiguration names the socket.',
      lines: [`endpoint: unix://${join(data, 'kms.sock')}`],
    },
  ]
}

const CLOUD_STEPS: Partial<Readonly<Record<ProtocolName, Steps>>> = { xks, azure, kubernetes }

/** In the order in which they are done. */
export function nextSteps(answers: Answers, certificates: Certificates): readonly Step[] {
  const { tenant, clouds, root } = answers
  const data = dataOf(answers)
  const start: Step = {
    title: 'Start it; everything else is typed in another terminal while it runs.',
    lines: [
      `holdfast ekm --config ${configOf(answers)}`,
      ...(root === 'passphrase' ? [`holdfast unlock --data ${data}`] : []),
    ],
  }
  const first: Step = {
    title: 'The first tenant; its starter policy lets its own callers use its own keys.',
    lines: [`holdfast ekm tenant create ${tenant} --data ${data}`],
  }
  const keep: Step = {
    title:
      root === 'keyfile'
        ? 'Keep a copy of the root elsewhere: with it and the data whoever has both has the keys, without it nobody has.'
        : 'Keep a copy of the data folder elsewhere.',
    lines: [],
  }
  return [start, first, ...clouds.flatMap(cloud => CLOUD_STEPS[cloud]?.(answers, certificates) ?? []), keep]
}

export function stepsText(steps: readonly Step[]): string {
  return steps
    .map(({ title, lines }, at) => [`${at + 1}. ${title}`, ...lines.map(line => `   ${line}`)].join('\n'))
    .join('\n\n')
}
