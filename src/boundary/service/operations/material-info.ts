import type { MaterialInfo } from '../../words.ts'

export const newMaterial = (id: string, createdAt: number): MaterialInfo => ({
  id,
  state: 'CURRENT',
  present: true,
  createdAt,
  expirationModel: 'NONE',
  validTo: 0,
  description: '',
  rotationType: 'NONE',
  rotatedAt: 0,
})
