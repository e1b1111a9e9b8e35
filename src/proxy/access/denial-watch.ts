/**
 * Who is told of a refusal: the ring that operators ask, a counter of the policy, and the log, a
 * few lines at a time. Of policies that decide nothing (AUDIT, dry run) the same is told.
 */
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { type Decision, decisionText } from "../../policy/authorization/decision.ts";
import type { Counter, Metrics } from "../../telemetry/metrics.ts";
import { type DenialRecord, DenialRing } from "./denial-ring.ts";
import { RequestFacts } from "./request-facts.ts";

export interface DenialWatchParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Lines of the log, of each kind. */
const LINES_MAX = 10;
const LINES_MS = 10_000;
/** Names in labels, over the life of a process; further ones count as "other". */
const LABELS_MAX = 500;

export class DenialWatch {
  readonly ring = new DenialRing();
  /** Of the request that is told of; filled in by who tells. */
  readonly facts = new RequestFacts();
  readonly #parts: DenialWatchParts;
  readonly #denied: LabelledCounters;
  readonly #audited: LabelledCounters;
  readonly #dryRun: LabelledCounters;
  #lines = 0;
  #linesSinceMs = Number.NEGATIVE_INFINITY;

  constructor(parts: DenialWatchParts) {
    const { metrics } = parts;
    this.#parts = parts;
    this.#denied = new LabelledCounters(
      metrics,
      "mesh_authorization_denied_total",
      "Requests and connections refused, by the policy that did it.",
    );
    this.#audited = new LabelledCounters(
      metrics,
      "mesh_authorization_audited_total",
      "Requests and connections that a policy of AUDIT wants to be told of.",
    );
    this.#dryRun = new LabelledCounters(
      metrics,
      "mesh_authorization_dry_run_total",
      "What policies would do that are not in force yet.",
    );
  }

  denied(record: DenialRecord): void {
    this.ring.add(record);
    this.#denied.of(record.kind, record.by).increment();
    const { by, rule, reason, id, principal, sourceAddress, method, path } = record;
    if (!this.#mayLog()) return;
    this.#parts.log.info("access denied", {
      ...{ by: rule === "" ? by : `${by} ${rule}`, reason, request: id },
      ...{ principal, source: sourceAddress, method, path: path.slice(0, 256) },
    });
  }

  /** A connection that nobody has used; it is counted and logged where it was refused. */
  handshakeRefused(client: string, reason: string, detail: string): void {
    this.ring.add({
      ...{ id: "", timeMs: this.#parts.clock.wallMs(), kind: "mtls", status: 0 },
      ...{ by: "mutual TLS", rule: "", place: "", principal: "" },
      reason: detail === "" ? reason : `${reason}: ${detail}`,
      ...{ sourceAddress: client, remoteAddress: client, port: 0, serverName: "" },
      ...{ method: "", host: "", path: "", hasToken: false },
    });
  }

  audited(decision: Decision, about: AuditedFacts): void {
    this.#audited.of("matched", decision.policy).increment();
    this.#tell("audit", decision, about);
  }

  /** `decision`: what it would be. */
  wouldBe(decision: Decision, about: AuditedFacts): void {
    this.#dryRun.of(decision.allowed ? "allowed" : "denied", decision.policy).increment();
    const what = decision.allowed ? "dry run: would be allowed" : "dry run: would be denied";
    this.#tell(what, decision, about);
  }

  #tell(what: string, decision: Decision, about: AuditedFacts): void {
    if (!this.#mayLog()) return;
    const { principal, method, path } = about;
    const by = decisionText(decision);
    this.#parts.log.info(what, { by, principal, method, path: path.slice(0, 256) });
  }

  #mayLog(): boolean {
    const nowMs = this.#parts.clock.nowMs();
    if (nowMs - this.#linesSinceMs >= LINES_MS) {
      const left = this.#lines - LINES_MAX;
      if (left > 0) this.#parts.log.info("more was told of access than is logged", { lines: left });
      this.#linesSinceMs = nowMs;
      this.#lines = 0;
    }
    return ++this.#lines <= LINES_MAX;
  }
}

export interface AuditedFacts {
  readonly principal: string;
  readonly method: string;
  readonly path: string;
}

class LabelledCounters {
  readonly #counters = new Map<string, Counter>();
  readonly #metrics: Metrics;
  readonly #name: string;
  readonly #help: string;

  constructor(metrics: Metrics, name: string, help: string) {
    this.#metrics = metrics;
    this.#name = name;
    this.#help = help;
  }

  of(kind: string, policy: string): Counter {
    const key = `${kind} ${policy}`;
    const known = this.#counters.get(key);
    if (known !== undefined) return known;
    if (this.#counters.size >= LABELS_MAX && policy !== "other") return this.of(kind, "other");
    const counter = this.#metrics.counter(this.#name, this.#help, { kind, policy });
    this.#counters.set(key, counter);
    return counter;
  }
}
