/**
 * What carries the traffic of one proxy: a DataPlane in this thread, or one in each of several
 * Workers (worker/worker-plane.ts). Whoever runs the proxy knows no difference.
 */
import type { ProxyConfig } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Problem } from "../core/problem.ts";
import type { Handover, OfferedListener } from "../io/listener-handover.ts";
import type { ListenOptions } from "../io/tcp-listener.ts";
import type { PolicyView } from "../policy/policy-view.ts";
import type { Metrics, MetricsView } from "../telemetry/metrics.ts";
import type { TextFamily } from "../telemetry/prometheus.ts";
import type { DenialView } from "./access/denial-view.ts";
import type { ClusterView } from "./admin/cluster-view.ts";
import type { ListenerView } from "./admin/proxy-view.ts";
import type { HostPort } from "./flags.ts";
import type { WorkloadKeyPair } from "./identity/mesh-identity.ts";

/** The listening sockets of a predecessor, by name. */
export type Inheritance = Pick<Handover, "listeners" | "use">;

/** Where a listener is bound, or which socket it takes over; its address is what the flags say. */
export type Place = (name: string, address: PlaceAddress) => ListenOptions;

export type PlaceAddress = Pick<ListenOptions, "hostname" | "port" | "ipv6Only">;

export interface AccessLogControl {
  /** After a rotation by rename. */
  reopen(): void;
  /** Gets each line as JSON; returns what ends it. */
  tap(tap: (line: string) => void): () => void;
  /** How many listen. */
  readonly taps: number;
}

export interface PolicyReadings {
  /** What adapters count, for a scrape. */
  families(): readonly TextFamily[] | Promise<readonly TextFamily[]>;
  /** Undefined: no rules were ever in force. */
  view(): PolicyView | undefined | Promise<PolicyView | undefined>;
}

export interface AccessReadings {
  /** Refusals of late, newest first. `id`: of one request; "": of all. */
  denials(id: string): readonly DenialView[] | Promise<readonly DenialView[]>;
}

export interface TrafficPlane {
  /** Of this thread. */
  readonly metrics: Metrics;
  /** All that a scrape reads. */
  registries(): readonly (Metrics | MetricsView)[];
  readonly accessLog: AccessLogControl;
  /** Puts it in force; or says what is wrong with it, and the former stays. */
  apply(config: ProxyConfig): readonly Problem[] | Promise<readonly Problem[]>;
  /** Who it is, for connections from when this resolves. */
  useCertificate(pair: WorkloadKeyPair): void | Promise<void>;
  /** Resolves when clusters of names have asked once. */
  ready(): Promise<unknown>;
  readonly policy: PolicyReadings;
  readonly access: AccessReadings;
  clusters(): readonly ClusterView[] | Promise<readonly ClusterView[]>;
  /** Binds, or takes over and accepts nothing until resumeAccept(). Throws StartFault. */
  listen(inheritance: Inheritance | undefined): Promise<void>;
  /** Accepts beside the predecessor. */
  resumeAccept(): Promise<void>;
  /** Answers DNS, if that is wanted. Throws StartFault; may be tried again. */
  openDns(): Promise<void>;
  closeDns(): void;
  /** Where it listens; the port is the one bound. */
  address(name: "outbound" | "inbound"): HostPort | undefined;
  listeners(): readonly ListenerView[];
  /** For a successor. */
  offered(): readonly OfferedListener[];
  /** No new connections; those that are there end after their exchange, or in time. */
  drainInbound(deadlineMs: number): Promise<void>;
  drainOutbound(deadlineMs: number): Promise<void>;
  close(): Promise<void>;
}
