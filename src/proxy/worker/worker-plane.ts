/**
 * The traffic of one proxy on several threads: a DataPlane in each of N Workers, which listen on
 * the same ports and share nothing that a request would touch.
 *
 *   main: configuration, identity, admin ──ask──▶ Worker 1 ◀─┐
 *                                        ──ask──▶ Worker 2 ◀─┤ connections, dealt by the kernel
 *          scrape ◀──shared memory────────────────────┘     ─┘
 *
 * A configuration is in force when all have compiled it, or not at all. The first Worker answers
 * DNS. Each judges endpoints for itself and has its part of every limit.
 */
import { toBinary } from "@bufbuild/protobuf";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Problem } from "../../core/problem.ts";
import type { SharedLevel } from "../../core/shared-level.ts";
import { libc } from "../../io/libc.ts";
import type { OfferedListener } from "../../io/listener-handover.ts";
import { mergeViews } from "../../policy/policy-view.ts";
import { Metrics, type MetricsView } from "../../telemetry/metrics.ts";
import { mergeDenials } from "../access/denial-ring.ts";
import { type ClusterView, mergeClusters } from "../admin/cluster-view.ts";
import type { ListenerView } from "../admin/proxy-view.ts";
import type { HostPort, ProxyFlags } from "../flags.ts";
import type { WorkloadKeyPair } from "../identity/mesh-identity.ts";
import type {
  AccessLogControl,
  AccessReadings,
  Inheritance,
  PolicyReadings,
  TrafficPlane,
} from "../traffic-plane.ts";
import { divideLimits } from "./divide-limits.ts";
import { dealSockets, socketName } from "./inherited-sockets.ts";
import { LineAllowance } from "./line-allowance.ts";
import { mergeFamilies } from "./merge-family.ts";
import type { DrainOrder, WorkerReport } from "./worker-message.ts";
import { WorkerThread } from "./worker-thread.ts";

export interface WorkerPlaneParts {
  readonly flags: ProxyFlags;
  readonly clock: Clock;
  readonly level: SharedLevel;
}

/** What fits into one message to a successor, with room for others. */
const OFFERED_MAX = 240;
const CLOSE_MS = 2_000;

export class WorkerPlane implements TrafficPlane {
  readonly metrics = new Metrics();
  readonly accessLog: AccessLogControl;
  readonly policy: PolicyReadings;
  readonly access: AccessReadings;
  readonly #parts: WorkerPlaneParts;
  readonly #turn = new SharedArrayBuffer(4);
  readonly #lines = new SharedArrayBuffer(4);
  readonly #threads: readonly WorkerThread[];
  readonly #taps = new Set<(line: string) => void>();
  #reports: readonly WorkerReport[] = [];
  #applying: Promise<unknown> = Promise.resolve();

  constructor(parts: WorkerPlaneParts) {
    this.#parts = parts;
    const arrived = new LineAllowance(this.#lines);
    const onLine = (line: string): void => {
      arrived.giveBack();
      for (const tap of this.#taps) tap(line);
    };
    this.#threads = Array.from(
      { length: parts.flags.concurrency },
      (_, number) => new WorkerThread({ number, onLine }),
    );
    this.accessLog = this.#accessLogControl();
    this.policy = this.#policyReadings();
    this.access = {
      denials: async (id) => mergeDenials(await this.#all((thread) => thread.ask("denials", id))),
    };
  }

  registries(): readonly (Metrics | MetricsView)[] {
    return [this.metrics, ...this.#threads.flatMap((thread) => thread.view() ?? [])];
  }

  /** In the order asked. */
  apply(config: ProxyConfig): Promise<readonly Problem[]> {
    const bytes = toBinary(ProxyConfigSchema, divideLimits(config, this.#threads.length));
    const applied = this.#applying.then(() => this.#apply(bytes));
    this.#applying = applied;
    return applied;
  }

  async #apply(bytes: Uint8Array): Promise<readonly Problem[]> {
    const prepare = (thread: WorkerThread) => thread.ask("prepare", bytes);
    const [first, ...others] = this.#threads;
    // A port is claimed by the first, before the others join it.
    const judged = [await prepare(first!)];
    if (judged[0]!.length === 0) judged.push(...(await Promise.all(others.map(prepare))));
    const refused = judged.find((problems) => problems.length > 0);
    if (refused === undefined) {
      this.#reports = await this.#all((thread) => thread.ask("publish", undefined));
      return [];
    }
    await this.#all((thread) => thread.ask("withdraw", undefined));
    return refused;
  }

  async useCertificate(pair: WorkloadKeyPair): Promise<void> {
    await this.#all((thread) => thread.ask("certificate", pair));
  }

  ready(): Promise<unknown> {
    return this.#all((thread) => thread.ask("ready", undefined));
  }

  async clusters(): Promise<ClusterView[]> {
    return mergeClusters(await this.#all((thread) => thread.ask("clusters", undefined)));
  }

  async listen(inheritance: Inheritance | undefined): Promise<void> {
    const copy = (fd: number): number => libc()?.dup(fd) ?? -1;
    const workers = this.#threads.length;
    const dealt = inheritance === undefined ? [] : dealSockets(inheritance, workers, copy);
    let ports: Map<string, number> | undefined;
    const begin = async (thread: WorkerThread, worker: number): Promise<WorkerReport> => {
      await thread.ask("start", this.#startOf(worker));
      const descriptors = dealt[worker] ?? new Map<string, number>();
      return await thread.ask("listen", { descriptors, ports });
    };
    const [first, ...others] = this.#threads;
    const report = await begin(first!, 0);
    ports = new Map(report.bound.map(({ name, port }) => [name, port]));
    const rest = await Promise.all(others.map((thread, i) => begin(thread, i + 1)));
    this.#reports = [report, ...rest];
  }

  async resumeAccept(): Promise<void> {
    this.#reports = await this.#all((thread) => thread.ask("resumeAccept", undefined));
  }

  async openDns(): Promise<void> {
    await this.#report("openDns");
  }

  closeDns(): void {
    void this.#report("closeDns");
  }

  address(name: "outbound" | "inbound"): HostPort | undefined {
    return this.#reports[0]?.[name];
  }

  /** All listen on the same ports. */
  listeners(): readonly ListenerView[] {
    return this.#reports[0]?.views ?? [];
  }

  offered(): OfferedListener[] {
    return this.#reports
      .flatMap(({ bound }, worker) =>
        bound.map(({ name, fd }) => ({ name: socketName(name, worker), fd })),
      )
      .slice(0, OFFERED_MAX);
  }

  async drainInbound(deadlineMs: number): Promise<void> {
    await this.#drain({ direction: "inbound", deadlineMs });
  }

  async drainOutbound(deadlineMs: number): Promise<void> {
    await this.#drain({ direction: "outbound", deadlineMs });
  }

  async close(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(CLOSE_MS, late.resolve);
    await Promise.race([this.#all((thread) => thread.close()), late.promise]);
    cancel();
  }

  async #drain(order: DrainOrder): Promise<void> {
    await this.#all((thread) => thread.ask("drain", order));
  }

  /** Of the first Worker, which answers DNS. */
  async #report(ask: "openDns" | "closeDns"): Promise<void> {
    const report = await this.#threads[0]!.ask(ask, undefined);
    this.#reports = [report, ...this.#reports.slice(1)];
  }

  #all<T>(ask: (thread: WorkerThread) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#threads.map(ask));
  }

  #startOf(worker: number) {
    const { flags, level } = this.#parts;
    return {
      flags: worker === 0 ? flags : { ...flags, dns: undefined },
      workers: this.#threads.length,
      level: level.memory,
      turn: this.#turn,
      lines: this.#lines,
    };
  }

  #policyReadings(): PolicyReadings {
    return {
      families: async () =>
        mergeFamilies(await this.#all((thread) => thread.ask("families", undefined))),
      view: async () => {
        const views = await this.#all((thread) => thread.ask("policyView", undefined));
        return mergeViews(views.filter((view) => view !== undefined));
      },
    };
  }

  #accessLogControl(): AccessLogControl {
    const taps = this.#taps;
    const tell = (wanted: boolean): void => {
      void this.#all((thread) => thread.ask("tap", wanted));
    };
    return {
      reopen: () => void this.#all((thread) => thread.ask("reopenLog", undefined)),
      tap: (tap) => {
        taps.add(tap);
        if (taps.size === 1) tell(true);
        return () => {
          if (taps.delete(tap) && taps.size === 0) tell(false);
        };
      },
      get taps() {
        return taps.size;
      },
    };
  }
}
