/** What a test says of workloads' certificates: nothing, unless told. */
import type { WorkloadStanding } from "../manager/access/credential.ts";

export function standingOf(told: Partial<WorkloadStanding> = {}): WorkloadStanding {
  return {
    servicesOf: () => [],
    grantOf: () => ({ mode: "sidecar", labels: {} }),
    originOf: () => "",
    lapseOf: () => undefined,
    onChange: () => () => {},
    ...told,
  };
}
