/**
 * What the main thread and its Workers say to each other. The main thread asks, and each question
 * has one answer; what a Worker says unasked is what a scrape and a tap need.
 */
import type { Problem } from "../../core/problem.ts";
import type { OfferedListener } from "../../io/listener-handover.ts";
import type { PolicyView } from "../../policy/policy-view.ts";
import type { SeriesChange } from "../../telemetry/metrics.ts";
import type { TextFamily } from "../../telemetry/prometheus.ts";
import type { GoneSeries } from "../../telemetry/series-mirror.ts";
import type { DenialView } from "../access/denial-view.ts";
import type { ClusterView } from "../admin/cluster-view.ts";
import type { ListenerView } from "../admin/proxy-view.ts";
import type { HostPort, ProxyFlags } from "../flags.ts";
import type { WorkloadKeyPair } from "../identity/mesh-identity.ts";

export interface WorkerStart {
  readonly flags: ProxyFlags;
  readonly workers: number;
  /** Of a SharedLevel. */
  readonly level: SharedArrayBuffer;
  /** Of a SharedTurn, and of the lines on their way to the taps. */
  readonly turn: SharedArrayBuffer;
  readonly lines: SharedArrayBuffer;
}

export interface ListenOrder {
  /** Sockets to take over, by the listener's name. */
  readonly descriptors: ReadonlyMap<string, number>;
  /** Where the first Worker is bound, by the same name; undefined: this is the first one. */
  readonly ports: ReadonlyMap<string, number> | undefined;
}

export interface BoundListener extends OfferedListener {
  readonly port: number;
}

/** Where a Worker listens now. */
export interface WorkerReport {
  readonly bound: readonly BoundListener[];
  readonly views: readonly ListenerView[];
  readonly outbound: HostPort | undefined;
  readonly inbound: HostPort | undefined;
}

export interface WorkerAsks {
  readonly start: Ask<WorkerStart, void>;
  readonly listen: Ask<ListenOrder, WorkerReport>;
  readonly resumeAccept: Ask<undefined, WorkerReport>;
  readonly openDns: Ask<undefined, WorkerReport>;
  readonly closeDns: Ask<undefined, WorkerReport>;
  /** A ProxyConfig, encoded: compiled, and kept until it is published or another one comes. */
  readonly prepare: Ask<Uint8Array, readonly Problem[]>;
  readonly publish: Ask<undefined, WorkerReport>;
  /** What was prepared is not published: another Worker cannot. */
  readonly withdraw: Ask<undefined, void>;
  readonly certificate: Ask<WorkloadKeyPair, void>;
  readonly ready: Ask<undefined, void>;
  readonly clusters: Ask<undefined, readonly ClusterView[]>;
  readonly families: Ask<undefined, readonly TextFamily[]>;
  readonly policyView: Ask<undefined, PolicyView | undefined>;
  /** Of one request; "": of all. */
  readonly denials: Ask<string, readonly DenialView[]>;
  readonly drain: Ask<DrainOrder, void>;
  readonly reopenLog: Ask<undefined, void>;
  readonly tap: Ask<boolean, void>;
  /** The mirror has heard of these. */
  readonly forget: Ask<readonly GoneSeries[], void>;
  readonly close: Ask<undefined, void>;
}

export interface DrainOrder {
  readonly direction: "inbound" | "outbound";
  readonly deadlineMs: number;
}

interface Ask<Take, Give> {
  readonly take: Take;
  readonly give: Give;
}

export type AskKind = keyof WorkerAsks;

/** What a Worker must be able to answer. What it throws other than StartFault is its end. */
export type WorkerAnswers = {
  readonly [K in AskKind]: (
    take: WorkerAsks[K]["take"],
  ) => WorkerAsks[K]["give"] | Promise<WorkerAsks[K]["give"]>;
};

export interface ToWorker {
  readonly id: number;
  readonly kind: AskKind;
  readonly take: unknown;
}

export type FromWorker =
  /** First of all: where it counts. */
  | { readonly at: "counting"; readonly memory: SharedArrayBuffer }
  | { readonly at: "series"; readonly changes: readonly SeriesChange[] }
  /** For the taps. */
  | { readonly at: "line"; readonly line: string }
  | { readonly at: "answer"; readonly id: number; readonly give: unknown }
  /** A StartFault. */
  | { readonly at: "fault"; readonly id: number; readonly message: string };
