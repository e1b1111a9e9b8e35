/** How the instances of a host are asked whether they are well. */

/** Whether and how callers' proxies ask instances. Absent: as a proxy does of its own. */
export interface HealthCheckSettings {
  readonly probe: HealthProbe;
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly jitterMs?: number;
  readonly noTrafficIntervalMs?: number;
  readonly unhealthyIntervalMs?: number;
  readonly unhealthyThreshold?: number;
  readonly healthyThreshold?: number;
  readonly port?: number;
  /** Without TLS, also where requests have it. */
  readonly plaintext: boolean;
}

export type HealthProbe =
  | {
      readonly by: "http";
      readonly path: string;
      readonly method?: string;
      readonly host?: string;
      readonly headers: Readonly<Record<string, string>>;
      /** Each "200" or "200-299". Empty: 200. */
      readonly expectedStatuses: readonly string[];
    }
  | {
      readonly by: "tcp";
      readonly send?: string;
      readonly receive: readonly string[];
    }
  | { readonly by: "grpc"; readonly serviceName?: string; readonly authority?: string };
