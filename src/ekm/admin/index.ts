/** Administration of an owner's key manager over its boundary's control socket, for the CLI, `--dev` services and the demo. */

export { AdminError } from '../../store/admin.ts'
export {
  type CredentialInfo,
  createCredential,
  deleteCredential,
  type GivenCredential,
  importFile,
  listCredentials,
  type NewCredential,
  newAccessKeyId,
} from './credentials.ts'
export { type CountedKey, counting, type Encryptions } from './encryptions.ts'
export { type AskInfo, decide, type HoldInfo, listAsks, listHolds, removeHold, setHold } from './holds.ts'
export { type ProbedToken, probeTokens, SERVED_PROTOCOLS, type Served, type ServedProtocol } from './hsm.ts'
export {
  createKey,
  describeKey,
  type ExternalKeySpec,
  FOREIGN_SCHEMES,
  type ForeignScheme,
  isKeyUse,
  KEY_SPEC_NAMES,
  type KeyInfo,
  type KeyUse,
  listKeys,
  rotateKey,
  tokenAndObject,
} from './keys.ts'
export {
  acceptedPolicy,
  type PolicyInfo,
  PolicyRefused,
  policyProblems,
  problemLine,
  setPolicy,
  showPolicy,
} from './policies.ts'
export { type By, listSwitches, restore, revoke, type SwitchInfo, type SwitchResult, stillRevoked } from './switches.ts'
export {
  createTenant,
  listTenants,
  setClients,
  setQuota,
  type TenantInfo,
  type TenantQuota,
  tenantOrOnly,
} from './tenants.ts'
export { wrapForImport } from './wrap.ts'
