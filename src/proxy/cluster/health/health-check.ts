/**
 * How a cluster's endpoints are asked whether they are well, and the judgement that follows from
 * the answers of one of them.
 *
 *   pending ── first answer ──▶ healthy ── bad × unhealthyThreshold ──▶ unhealthy
 *                  │               ▲                                        ▲   │
 *                  └───────────────┼────────────────────────────────────────┘   │
 *                                  └──────────── good × healthyThreshold ───────┘
 */

export interface HealthCheckPolicy {
  readonly probe: Probe;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** Added by chance to each interval, so that proxies do not ask together. */
  readonly jitterMs: number;
  /** Instead of the interval, while nobody uses the cluster. */
  readonly noTrafficIntervalMs: number;
  /** Instead of the interval, while the endpoint is unhealthy; 0: the interval. */
  readonly unhealthyIntervalMs: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** Where to ask; 0: at the endpoint's own port. */
  readonly port: number;
  /** Without TLS, also where requests have it. */
  readonly plaintext: boolean;
}

export type Probe =
  | {
      readonly by: "http";
      readonly method: string;
      readonly path: string;
      /** Empty: the endpoint's address and port. */
      readonly host: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
      /** Statuses that are good, each from–to. */
      readonly expected: readonly (readonly [from: number, to: number])[];
    }
  | {
      readonly by: "tcp";
      readonly send: Uint8Array;
      /** To be found in what comes back, in this order; none: to connect is enough. */
      readonly receive: readonly Uint8Array[];
    }
  | {
      readonly by: "grpc";
      /** Empty: the server as a whole. */
      readonly service: string;
      /** ":authority"; empty: the endpoint's address and port. */
      readonly authority: string;
    };

/** Good; a bad answer; no answer: no connection, or not in time. */
export type ProbeOutcome = "passed" | "failed" | "unreachable";

export interface Judged {
  readonly health: "pending" | "healthy" | "unhealthy";
  /** Outcomes in a row that speak against it. */
  readonly contrary: number;
}

/** The judgement after one more outcome. */
export function judge(former: Judged, passed: boolean, policy: HealthCheckPolicy): Judged {
  const after = passed ? "healthy" : "unhealthy";
  if (former.health === "pending") return { health: after, contrary: 0 };
  if (former.health === after) return { health: after, contrary: 0 };
  const contrary = former.contrary + 1;
  const needed = passed ? policy.healthyThreshold : policy.unhealthyThreshold;
  return contrary >= needed ? { health: after, contrary: 0 } : { health: former.health, contrary };
}
