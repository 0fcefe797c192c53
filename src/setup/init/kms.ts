/** What `holdfast init kms` needs to know, and from answers to a configuration and the next steps. */
import { randomInt } from 'node:crypto'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { KmsConfigInput } from '../../config/kms.ts'
import type { Certificates } from './certificates.ts'
import {
  always,
  backupQuestions,
  boundaryOf,
  type CommonAnswers,
  type Question,
  rootQuestions,
  usersQuestion,
} from './questions.ts'
import { keepSteps, type Step, startStep } from './steps.ts'

export interface KmsAnswers extends CommonAnswers {
  readonly port: number
  readonly regions: readonly string[]
  /** 12 digits. */
  readonly account: string
  /** Name of the user with every right in it. */
  readonly administrator: string
}

const LOCALHOST = 'localhost'
/** Of the names of users, what needs no quotes in a shell. */
const USER = /^[A-Za-z0-9_.-]{1,64}$/
const REGION = /^[a-z]{2}(?:-[a-z]+)+-\d{1,2}$/

export const splitNames = (text: string): string[] => text.split(/[\s,]+/).filter(name => name !== '')

export const kmsQuestions = (isRoot: boolean): readonly Question<KmsAnswers>[] => [
  {
    name: 'host',
    text: 'By which host name do clients reach it (localhost: from this machine only)?',
    fallback: () => LOCALHOST,
    asked: always,
    wrong: text =>
      isIP(text) !== 0 || !/^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(text)
        ? 'it must be a host name, not an address'
        : '',
  },
  {
    name: 'port',
    text: 'On which port?',
    fallback: () => '8443',
    asked: always,
    wrong: text => (/^\d{1,5}$/.test(text) && Number(text) < 65536 ? '' : 'it must be a number from 0 to 65535'),
  },
  {
    name: 'regions',
    text: 'Which Regions does it serve (several with commas)?',
    fallback: () => 'us-east-1',
    asked: always,
    wrong: text => {
      const regions = splitNames(text)
      const right = regions.length > 0 && regions.every(region => REGION.test(region))
      return right && new Set(regions).size === regions.length ? '' : 'like us-east-1,eu-central-1, each once'
    },
  },
  {
    name: 'account',
    text: 'Number of the first account (12 digits)?',
    fallback: () => String(randomInt(1e11, 1e12)),
    asked: always,
    wrong: text => (/^\d{12}$/.test(text) ? '' : 'it must be 12 digits'),
  },
  {
    name: 'administrator',
    text: 'Name of the first user, who has every right in it?',
    fallback: () => 'administrator',
    asked: always,
    wrong: text => (USER.test(text) ? '' : 'letters, digits, "_", "." and "-", at most 64'),
  },
  ...rootQuestions,
  usersQuestion(isRoot),
  ...backupQuestions,
]

const dataOf = ({ folder }: Pick<KmsAnswers, 'folder'>): string => join(folder, 'data')
export const kmsConfigOf = ({ folder }: Pick<KmsAnswers, 'folder'>): string => join(folder, 'kms.yaml')

export function kmsConfiguration(answers: KmsAnswers, certificates: Certificates): KmsConfigInput {
  const { host, port, regions, account, folder } = answers
  const { certificateFile, keyFile } = certificates
  return {
    data: dataOf(answers),
    listen: { host: host === LOCALHOST ? '127.0.0.1' : '0.0.0.0', port, tls: { certificateFile, keyFile } },
    regions: [...regions],
    account,
    boundary: boundaryOf(answers, join(folder, 'root.key')),
  }
}

/** `made`: the first user and its credential are there already. */
export function kmsSteps(answers: KmsAnswers, certificates: Certificates, made: boolean): readonly Step[] {
  const { host, port, regions, account, administrator } = answers
  const data = `--data ${dataOf(answers)}`
  const config = kmsConfigOf(answers)
  const trust = certificates.rootFile === undefined ? '' : ` --ca-bundle ${certificates.rootFile}`
  const first: Step = {
    title: 'The first account, its first user, and an access key, whose secret is shown once.',
    lines: [
      `holdfast kms account create ${account} ${data}`,
      `holdfast kms principal create ${administrator} --account ${account} --administrator ${data}`,
      `holdfast kms credential create --principal arn:aws:iam::${account}:user/${administrator} ${data}`,
    ],
  }
  const use: Step = {
    title: 'Use it, with the access key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, from any client of AWS.',
    lines: [`aws kms create-key --endpoint-url https://${host}:${port} --region ${regions[0] ?? ''}${trust}`],
  }
  return [
    startStep('kms', answers, config, dataOf(answers)),
    ...(made ? [] : [first]),
    use,
    ...keepSteps(answers, config, dataOf(answers)),
  ]
}
