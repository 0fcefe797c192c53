/** The six operations on custom key stores, for the table of operations. */
export { ConnectCustomKeyStore, DisconnectCustomKeyStore } from './connect.ts'
export { CreateCustomKeyStore } from './create.ts'
export { DeleteCustomKeyStore } from './delete.ts'
export { DescribeCustomKeyStores } from './describe.ts'
export { UpdateCustomKeyStore } from './update.ts'
