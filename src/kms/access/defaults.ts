/** The key policies that nobody writes: AWS's default for a customer's key, and its policy for the keys that a service manages. */
import { rootArn } from './principal-names.ts'

/** What CreateKey gives a key without a policy (aws-kms.md §12.1): the account's identity policies decide. JSON as UTF-8. */
export function defaultKeyPolicy(account: string, partition = 'aws'): Buffer {
  return json({
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: rootArn(account, partition) },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  })
}

/**
 * The policy of `alias/aws/<service>`: everyone in the account may use the key, through that service only, and see its metadata. Nothing in it
 * lets the account change, disable or delete the key.
 */
export function providerManagedKeyPolicy(account: string, region: string, service: string, partition = 'aws'): Buffer {
  return json({
    Version: '2012-10-17',
    Id: `auto-${service}-1`,
    Statement: [
      {
        Sid: `Allow access through ${service} for all principals in the account that are authorized to use ${service}`,
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: [
          'kms:Encrypt',
          'kms:Decrypt',
          'kms:ReEncrypt*',
          'kms:GenerateDataKey*',
          'kms:CreateGrant',
          'kms:DescribeKey',
        ],
        Resource: '*',
        Condition: {
          StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': `${service}.${region}.amazonaws.com` },
        },
      },
      {
        Sid: 'Allow direct access to key metadata to the account',
        Effect: 'Allow',
        Principal: { AWS: rootArn(account, partition) },
        Action: ['kms:Describe*', 'kms:Get*', 'kms:List*', 'kms:RevokeGrant'],
        Resource: '*',
      },
    ],
  })
}

/** Two spaces and newlines, as AWS serialises policies. */
function json(policy: unknown): Buffer {
  return Buffer.from(JSON.stringify(policy, null, 2), 'utf8')
}
