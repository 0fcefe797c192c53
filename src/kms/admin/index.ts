/** Administration of a KMS over its boundary's control socket, for the CLI, `--dev` services and the demo. */

export { type AdminControl, AdminError } from '../../store/admin.ts'
export { type Account, accountOrOnly, type CreateAccount, createAccount, listAccounts } from './accounts.ts'
export {
  type CredentialInfo,
  createCredential,
  deleteCredential,
  type GivenCredential,
  listCredentials,
  type NewCredential,
  setCredentialActive,
} from './credentials.ts'
export {
  ensureAccount,
  ensurePrincipal,
  firstPrincipalText,
  makeAdministrator,
  makeServicePrincipal,
} from './first-steps.ts'
export { addToGroup, createGroup, deleteGroup, type GroupInfo, listGroups, removeFromGroup } from './groups.ts'
export { ADMINISTRATOR_POLICY, deletePolicy, getPolicy, listPolicies, putPolicy } from './policies.ts'
export { createPrincipal, deletePrincipal, listPrincipals, type PrincipalInfo, tagPrincipal } from './principals.ts'
export { createRole, getBoundary, getTrustPolicy, setBoundary, setMaxSession, setTrustPolicy } from './roles.ts'
