/** What is to be done after `holdfast ekm init`, for each cloud, with the values of this key manager in it. */
import { join } from 'node:path'
import { uriPath } from '../../ekm/keys/names.ts'
import type { ProtocolName } from '../../ekm/keys/protocols.ts'
import type { Certificates } from './certificates.ts'
import type { EkmAnswers as Answers } from './ekm-answers.ts'
import { configOf, dataOf, KEY_NAMES, PORTS } from './ekm-configuration.ts'
import { keepSteps, type Step, startStep } from './steps.ts'

type Steps = (answers: Answers, certificates: Certificates) => readonly Step[]

const forward = (host: string, port: number): Step => ({
  title: `Let the cloud in: it calls ${host} on port 443, which is to be forwarded to ${port} of this machine without ending TLS on the way.`,
  lines: [],
})

/** The client certificate of a trial. */
function clientOf({ made }: Certificates): string {
  const provider = made.find(file => file.endsWith('trial-provider.pem'))
  return provider === undefined ? '' : ` --cert ${provider} --key-file ${provider.replace(/pem$/, 'key')}`
}

const trial = ({ rootFile }: Certificates): string => (rootFile === undefined ? '' : ` --ca ${rootFile}`)

const xks: Steps = (answers, certificates) => {
  const { host, tenant, folder } = answers
  const data = `--data ${dataOf(answers)}`
  const importFile = join(folder, 'xks-proxy.json')
  const client = clientOf(certificates)
  return [
    {
      title:
        'A key for AWS, and the credential that AWS signs with; the file is for the AWS console, and its secret stands nowhere else.',
      lines: [
        `holdfast ekm key create ${KEY_NAMES.xks} --tenant ${tenant} ${data}`,
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
        `aws kms create-key --origin EXTERNAL_KEY_STORE --custom-key-store-id STORE --xks-key-id ${KEY_NAMES.xks}`,
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
        `holdfast ekm key create ${KEY_NAMES.azure} --tenant ${tenant} ${data}`,
        `holdfast ekm tenant set-clients ${tenant} ${certificates.clientName ?? 'POOL.managedhsmclient.azure.net'} ${data}`,
      ],
    },
    forward(host, PORTS.azure),
    {
      title: 'Look at it as Azure will.',
      lines: [
        `holdfast ekm doctor https://${host}/${tenant} --cloud azure${clientOf(certificates)}${trial(certificates)}`,
      ],
    },
    {
      title: 'Tell Azure (docs/azure.md).',
      lines: [
        `az keyvault ekm-connection create --hsm-name HSM --host ${host} --server-ca-certificate ${ca} --path-prefix /${tenant}`,
        'az keyvault ekm-connection check --hsm-name HSM',
        `az keyvault key create --hsm-name HSM --name KEY --external-key-id ${KEY_NAMES.azure}`,
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
      lines: [`holdfast ekm key create ${KEY_NAMES.kubernetes} --tenant ${tenant} --data ${data}`],
    },
    {
      title: 'Tell the API server (docs/kubernetes.md): its EncryptionConfiguration names the socket.',
      lines: [`endpoint: unix://${join(data, 'kms.sock')}`],
    },
  ]
}

const dke: Steps = (answers, certificates) => {
  const { host, tenant } = answers
  const url = `https://${host}/${tenant}/${KEY_NAMES.dke}`
  return [
    {
      title: 'A key for labels in Purview; 2048 bits are what Office takes.',
      lines: [
        `holdfast ekm key create ${KEY_NAMES.dke} --tenant ${tenant} --spec RSA_2048 --data ${dataOf(answers)}`,
        `# Who may decrypt: dke.tenants.${tenant}.keys.${KEY_NAMES.dke} in ${configOf(answers)}; nobody until you name people or roles`,
      ],
    },
    forward(host, PORTS.dke),
    {
      title: 'Look at it as Office will.',
      lines: [`holdfast ekm doctor https://${host}/${tenant} --cloud dke --key ${KEY_NAMES.dke}${trial(certificates)}`],
    },
    {
      title:
        'Tell Microsoft (docs/dke.md): an app registration with this Application ID URI, and a label with this key URL.',
      lines: [`Application ID URI: https://${host}`, `double key encryption URL: ${url}`],
    },
  ]
}

const kacls: Steps = (answers, certificates) => {
  const { host, tenant } = answers
  const create = 'holdfast ekm key create'
  const data = `--data ${dataOf(answers)}`
  const url = `https://${host}/${tenant}/v1`
  return [
    {
      title: 'The key that wraps for Workspace, and the pair that signs this service’s own tokens.',
      lines: [
        `${create} ${KEY_NAMES.kacls} --tenant ${tenant} ${data}`,
        `${create} ${KEY_NAMES.kaclsSigner} --tenant ${tenant} --spec RSA_2048 --usage sign ${data}`,
      ],
    },
    forward(host, PORTS.kacls),
    {
      title: 'Look at it as browsers will.',
      lines: [`holdfast ekm doctor ${url} --cloud kacls${trial(certificates)}`],
    },
    {
      title:
        'Tell Google (docs/kacls.md): Admin console, Data, Compliance, Client-side encryption, External key services.',
      lines: [`key service URL: ${url}`],
    },
  ]
}

const google: Steps = (answers, certificates) => {
  const { host, tenant } = answers
  return [
    {
      title: 'A key for Google Cloud; experimental, and untested against Google.',
      lines: [`holdfast ekm key create ${KEY_NAMES.google} --tenant ${tenant} --data ${dataOf(answers)}`],
    },
    forward(host, PORTS.google),
    {
      title: 'Look at it from where Google is.',
      lines: [`holdfast ekm doctor https://${host}/${tenant} --cloud google${trial(certificates)}`],
    },
    {
      title: 'Tell Google (docs/google.md); LOCATION, RING and the service directory are yours.',
      lines: [
        `gcloud kms ekm-connections create ekm --location LOCATION --hostname ${host} --server-certificates-files ${certificates.certificateFile} --service-directory-service SERVICE --key-management-mode manual`,
        `gcloud kms keys versions create --location LOCATION --keyring RING --key KEY --ekm-connection-key-path ${tenant}/${KEY_NAMES.google} --primary`,
      ],
    },
  ]
}

const CLOUD_STEPS: Readonly<Record<ProtocolName, Steps>> = { xks, azure, kubernetes, dke, kacls, google }

/** In the order in which they are done. `made`: the first tenant is there already. */
export function ekmSteps(answers: Answers, certificates: Certificates, made: boolean): readonly Step[] {
  const { tenant, clouds } = answers
  const data = dataOf(answers)
  const first: Step = {
    title: 'The first tenant; its starter policy lets its own callers use its own keys.',
    lines: [`holdfast ekm tenant create ${tenant} --data ${data}`],
  }
  return [
    startStep('ekm', answers, configOf(answers), data),
    ...(made ? [] : [first]),
    ...clouds.flatMap(cloud => CLOUD_STEPS[cloud](answers, certificates)),
    ...keepSteps(answers, configOf(answers), data),
  ]
}
