/**
 * The Worker's end: a DataPlane that does what the main thread says. Configuration comes encoded,
 * is compiled here, and is published when all have compiled it; counting is in shared memory.
 *
 *   counting ─▶ start ─▶ listen ─▶ (prepare ─▶ publish)* ─▶ drain ─▶ close
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { assert } from "../../core/assert.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import type { Problem } from "../../core/problem.ts";
import { systemRandom } from "../../core/random.ts";
import { SharedLevel } from "../../core/shared-level.ts";
import { claimPort } from "../../io/claim-port.ts";
import { MemoryTidying } from "../../io/memory-tidying.ts";
import { collectGarbage } from "../../io/resident-memory.ts";
import { Metrics, type SeriesChange } from "../../telemetry/metrics.ts";
import { addLagMetrics } from "../../telemetry/process-metrics.ts";
import { ClosableClock } from "../agent/closable-clock.ts";
import { DataPlane } from "../data-plane.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { StartFault } from "../start-fault.ts";
import type { Place } from "../traffic-plane.ts";
import { LineAllowance } from "./line-allowance.ts";
import { SharedTurn } from "./shared-turn.ts";
import type {
  FromWorker,
  ListenOrder,
  ToWorker,
  WorkerAnswers,
  WorkerReport,
  WorkerStart,
} from "./worker-message.ts";

/** A Worker's `self`. */
export interface WorkerPort {
  postMessage(message: FromWorker): void;
  onmessage: ((event: { readonly data: ToWorker }) => void) | null;
}

export class WorkerSide {
  readonly #port: WorkerPort;
  readonly #clock = new ClosableClock(systemClock);
  readonly #changes: SeriesChange[] = [];
  readonly #metrics: Metrics;
  #plane: DataPlane | undefined;
  #prepared: Snapshot | undefined;
  #endTap: (() => void) | undefined;
  /** Pages are the process's, and given back by its main thread. */
  readonly #tidying = new MemoryTidying({ clock: this.#clock, settled: collectGarbage });
  readonly #answers: WorkerAnswers = {
    start: (start) => this.#start(start),
    listen: (order) => this.#listen(order),
    resumeAccept: async () => {
      await this.#running.resumeAccept();
      return this.#report();
    },
    openDns: async () => {
      await this.#running.openDns();
      return this.#report();
    },
    closeDns: () => {
      this.#running.closeDns();
      return this.#report();
    },
    prepare: (bytes) => this.#prepare(bytes),
    publish: () => this.#publish(),
    withdraw: () => {
      this.#prepared?.abandon();
      this.#prepared = undefined;
      this.#running.withdraw();
    },
    certificate: (pair) => this.#running.useCertificate(pair),
    ready: () => this.#running.ready(),
    clusters: () => this.#running.clusters(),
    families: () => this.#running.policy.families(),
    policyView: () => this.#running.policy.view(),
    denials: (id) => this.#running.access.denials(id),
    drain: ({ direction, deadlineMs }) =>
      direction === "inbound"
        ? this.#running.drainInbound(deadlineMs)
        : this.#running.drainOutbound(deadlineMs),
    reopenLog: () => this.#running.accessLog.reopen(),
    tap: (wanted) => this.#tap(wanted),
    forget: (series) => {
      for (const { kind, slot } of series) this.#metrics.forgotten(kind, slot);
    },
    close: () => this.#close(),
  };
  #lines = new LineAllowance(new SharedArrayBuffer(4));

  constructor(port: WorkerPort) {
    this.#port = port;
    this.#metrics = new Metrics({
      onSeries: (change) => {
        if (this.#changes.length === 0) queueMicrotask(() => this.#tellSeries());
        this.#changes.push(change);
      },
    });
  }

  begin(): void {
    const memory = this.#metrics.values.buffer;
    assert(memory instanceof SharedArrayBuffer, "metrics are in shared memory");
    this.#port.postMessage({ at: "counting", memory });
    this.#port.onmessage = ({ data }) => void this.#answer(data);
  }

  /** Whoever gets an answer knows the series that led to it. */
  #post(message: FromWorker): void {
    this.#tellSeries();
    this.#port.postMessage(message);
  }

  #tellSeries(): void {
    if (this.#changes.length === 0) return;
    this.#port.postMessage({ at: "series", changes: this.#changes.splice(0) });
  }

  async #answer({ id, kind, take }: ToWorker): Promise<void> {
    const answer = this.#answers[kind] as (take: unknown) => unknown;
    try {
      const given = answer(take);
      this.#post({ at: "answer", id, give: given instanceof Promise ? await given : given });
    } catch (thrown) {
      if (!(thrown instanceof StartFault)) throw thrown;
      this.#post({ at: "fault", id, message: thrown.message });
    }
  }

  get #running(): DataPlane {
    assert(this.#plane !== undefined, "a Worker is started before it is asked anything");
    return this.#plane;
  }

  #start({ flags, workers, level, turn, lines }: WorkerStart): void {
    this.#lines = new LineAllowance(lines);
    const clock = this.#clock;
    addLagMetrics(this.#metrics, clock);
    this.#plane = new DataPlane({
      flags,
      clock,
      random: systemRandom,
      log: new Log("proxy", new SharedLevel(level)),
      shared: {
        workers,
        metrics: this.#metrics,
        sink: (file) => new SharedTurn(turn, file, clock),
      },
    });
  }

  #listen({ descriptors, ports }: ListenOrder): WorkerReport {
    const place: Place = (name, address) => {
      const fd = descriptors.get(name);
      if (fd !== undefined) return { ...address, fd };
      const port = ports === undefined ? claimPort(address) : (ports.get(name) ?? address.port);
      return { ...address, port, reusePort: true };
    };
    this.#running.listenAt(place);
    // In this very turn: a predecessor goes on, and has the same sockets.
    if (descriptors.size > 0) this.#running.pauseAccept();
    return this.#report();
  }

  #report(): WorkerReport {
    const plane = this.#running;
    return {
      bound: plane.offered(),
      views: plane.listeners(),
      outbound: plane.address("outbound"),
      inbound: plane.address("inbound"),
    };
  }

  #prepare(bytes: Uint8Array): readonly Problem[] | Promise<readonly Problem[]> {
    const config = fromBinary(ProxyConfigSchema, bytes);
    const loading = this.#running.load(config);
    return loading === undefined ? this.#compile(config) : loading.then(() => this.#prepare(bytes));
  }

  #compile(config: ProxyConfig): readonly Problem[] | Promise<readonly Problem[]> {
    const plane = this.#running;
    const compiled = plane.compile(config, plane.snapshot);
    this.#prepared?.abandon();
    this.#prepared = Array.isArray(compiled) ? undefined : compiled;
    if (Array.isArray(compiled)) return compiled;
    const warm = plane.snapshot === undefined ? undefined : compiled.warm(this.#clock);
    return warm === undefined ? [] : warm.then(() => []);
  }

  #publish(): WorkerReport {
    const prepared = this.#prepared;
    assert(prepared !== undefined, "what is published has been prepared");
    this.#prepared = undefined;
    this.#running.publish(prepared);
    this.#tidying.cause();
    return this.#report();
  }

  #tap(wanted: boolean): void {
    this.#endTap?.();
    this.#endTap = undefined;
    if (!wanted) return;
    this.#endTap = this.#running.accessLog.tap((line) => {
      if (this.#lines.take()) this.#port.postMessage({ at: "line", line });
    });
  }

  /** Nothing is left then that the thread would wait for. */
  async #close(): Promise<void> {
    await this.#plane?.close();
    this.#clock.close();
    this.#port.onmessage = null;
  }
}
