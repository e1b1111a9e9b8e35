/** What the admin port may ask of the running proxy, and what it may tell it to do. */

import type { DiscoveryStatus } from "../../api/discovery/discovery.ts";
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Log } from "../../core/log.ts";
import type { PolicyView } from "../../policy/policy-view.ts";
import type { DenialView } from "../access/denial-view.ts";
import type { RegistrationStatus } from "../agent/registration.ts";
import type { CredentialStatus } from "../identity/workload-credential.ts";
import type { ClusterView } from "./cluster-view.ts";

export interface ListenerView {
  /** "outbound", "inbound", "admin", "readiness" */
  readonly name: string;
  /** "127.0.0.1:15001" */
  readonly address: string;
}

export interface Readiness {
  readonly ready: boolean;
  /** In words: what is awaited, or "LIVE". */
  readonly reason: string;
}

/** Who this proxy is, as `/server_info` says it. */
export interface NodeView {
  readonly id: string;
  readonly service: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly version: string;
}

export interface ProxyView {
  readonly node: NodeView;
  readonly log: Log;
  readonly startedMs: number;
  uptimeMs(): number;
  listeners(): readonly ListenerView[];
  /** What is in force: the manager's, with static upstreams laid over. */
  config(): ProxyConfig | undefined;
  clusters(): readonly ClusterView[] | Promise<readonly ClusterView[]>;
  /** Where the configuration in force came from. */
  configSource(): "manager" | "disk" | "static" | "none";
  /** Undefined: there is no manager. */
  discovery(): DiscoveryStatus | undefined;
  /** Undefined: this proxy serves nothing. */
  registration(): RegistrationStatus | undefined;
  /** Undefined: there is no manager that would give one. */
  credential(): CredentialStatus | undefined;
  readiness(): Readiness;
  /** In the Prometheus text format. */
  metrics(ownOnly: boolean): string | Promise<string>;
  /** Undefined: no rules were ever in force. */
  policy(): PolicyView | undefined | Promise<PolicyView | undefined>;
  /** Who was refused of late, newest first. `id`: of one request; "": of all. */
  denials(id: string): readonly DenialView[] | Promise<readonly DenialView[]>;
  /** Gets the access log's lines, as JSON, until what is returned is called. */
  tap(listener: (line: string) => void): () => void;
  /** How many listen. */
  taps(): number;
  /** Makes it say that it is not ready, or lets it say so again. */
  failHealthcheck(failed: boolean): void;
  /** Leaves the mesh: no new callers, connections end after their exchange. It keeps running. */
  drain(): void;
  /** As SIGTERM. */
  quit(): void;
}
