/**
 * The main thread's end of one Worker. Workers are started once and never replaced: one that ends
 * unasked is a mistake of ours, and ends the process with its reason.
 */
import { AssertionError, assert } from "../../core/assert.ts";
import type { MetricsView } from "../../telemetry/metrics.ts";
import { SeriesMirror } from "../../telemetry/series-mirror.ts";
import { StartFault } from "../start-fault.ts";
import type { AskKind, FromWorker, WorkerAsks } from "./worker-message.ts";

export interface WorkerThreadParts {
  /** From 0; for people. */
  readonly number: number;
  /** A line for the taps. */
  readonly onLine: (line: string) => void;
}

/** Of an engine; and, under Envoy's name, of one Worker: does the kernel deal them out evenly? */
const CONNECTIONS = "envoy_http_downstream_cx_active";
const OWN_CONNECTIONS = "envoy_listener_worker_downstream_cx_active";
const OWN_CONNECTIONS_HELP = "Open downstream connections of each worker.";

export class WorkerThread {
  readonly #parts: WorkerThreadParts;
  readonly #worker: Worker;
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  #mirror: SeriesMirror | undefined;
  #nextId = 0;
  #at: "running" | "closing" | "dead" = "running";

  constructor(parts: WorkerThreadParts) {
    this.#parts = parts;
    this.#worker = new Worker(entry());
    this.#worker.onmessage = ({ data }: { data: FromWorker }) => this.#receive(data);
    this.#worker.onerror = ({ message }) => this.#died(message);
    this.#worker.addEventListener("close", () => this.#died("it ended"));
  }

  /** Rejects with a StartFault of the Worker's; what else is thrown there ends the process. */
  ask<K extends AskKind>(kind: K, take: WorkerAsks[K]["take"]): Promise<WorkerAsks[K]["give"]> {
    const id = this.#nextId++;
    const asked = Promise.withResolvers<unknown>();
    this.#asked.set(id, asked);
    this.#worker.postMessage({ id, kind, take });
    return asked.promise as Promise<WorkerAsks[K]["give"]>;
  }

  /** What it counts, and its connections for itself; undefined: it has not begun to count. */
  view(): MetricsView | undefined {
    const view = this.#mirror?.view();
    if (view === undefined) return undefined;
    const connections = view.families.find(({ name }) => name === CONNECTIONS);
    if (connections === undefined) return view;
    const labels = `envoy_worker_id="${this.#parts.number}"`;
    const series = connections.series.map(({ slot }) => ({ labels, slot }));
    const own = { ...connections, name: OWN_CONNECTIONS, help: OWN_CONNECTIONS_HELP, series };
    return { values: view.values, families: [...view.families, own] };
  }

  /** It ends by itself after that. */
  async close(): Promise<void> {
    if (this.#at !== "running") return;
    this.#at = "closing";
    await this.ask("close", undefined);
  }

  #receive(message: FromWorker): void {
    switch (message.at) {
      case "counting":
        this.#mirror = new SeriesMirror(message.memory);
        return;
      case "series": {
        assert(this.#mirror !== undefined, "a Worker says first where it counts");
        const gone = this.#mirror.apply(message.changes);
        if (gone.length > 0 && this.#at === "running") void this.ask("forget", gone);
        return;
      }
      case "line":
        this.#parts.onLine(message.line);
        return;
      case "answer":
        this.#take(message.id).resolve(message.give);
        return;
      case "fault":
        this.#take(message.id).reject(new StartFault(message.message));
        return;
      default:
        return message satisfies never;
    }
  }

  #take(id: number): PromiseWithResolvers<unknown> {
    const asked = this.#asked.get(id);
    assert(asked !== undefined, "every question is answered once");
    this.#asked.delete(id);
    return asked;
  }

  #died(reason: string): void {
    if (this.#at !== "running") return;
    this.#at = "dead";
    // Beyond the reach of the event's own catching, so that it ends the process.
    queueMicrotask(() => {
      throw new AssertionError(`worker ${this.#parts.number}: ${reason}`);
    });
  }
}

/** In an executable its modules are where they were below src/, bundled. */
function entry(): string {
  const isCompiled = import.meta.url.startsWith("file:///$bunfs/");
  if (isCompiled) return "file:///$bunfs/root/proxy/worker/worker-entry.js";
  return new URL("./worker-entry.ts", import.meta.url).href;
}
