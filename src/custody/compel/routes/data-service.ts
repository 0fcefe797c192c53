/** Route 3: the data service as it is, with whatever data keys its cache still holds. */
import { readObject } from '../../drill/probes.ts'
import type { CustodyPlan } from '../../plan.ts'
import type { ReadRoute } from '../route.ts'

export function dataService(service: CustodyPlan['dataService']): ReadRoute {
  return {
    route: 'data-service',
    title: 'reading through the data service and its cache',
    with: 'the data service, its credential at the KMS, and the data keys in its cache',
    prepare: async () => {},
    read: ({ bucket, plan }) => readObject(service, bucket, plan),
  }
}
