/**
 * One proxy's stream: what it should have, what it was sent, what it said to that.
 *
 *            offer            next()             acknowledge
 *   idle ───────────▶ wanted ────────▶ sent ──────────────────▶ idle (holds what it accepted)
 *                                        └── rejected, or no answer in time ─▶ next one is whole
 *
 * One update is under way at a time and only the latest state is kept, so that a slow proxy costs
 * one reference, and a burst of changes reaches it as one.
 */
import type { Acknowledgement, ConfigUpdate, Node } from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Resources } from "../translate/resource.ts";
import { deltaUpdate, wholeUpdate } from "./delta.ts";

/** So long one update waits for its answer before a newer one is sent. */
const ANSWER_MS = 2_000;
const PROBLEMS_MAX = 50;
const PROBLEM_LENGTH_MAX = 2_000;

export type Sync = "synced" | "stale" | "rejected" | "not-sent";

export class ProxyStream {
  readonly node: Node;
  readonly connectedMs: number;
  readonly #clock: Clock;
  #wanted: Resources | undefined;
  #sent: Resources | undefined;
  /** What the proxy certainly runs on; undefined: unknown, so the next update is whole. */
  #held: Resources | undefined;
  #awaiting: { readonly version: string; readonly cancel: () => void } | undefined;
  #problems: readonly string[] = [];
  #activeVersion: string;
  #acknowledgedMs = 0;
  #closed = false;
  #wake: () => void = () => {};

  /** `held`: what the proxy says it runs on, where we still know that version. */
  constructor(node: Node, version: string, held: Resources | undefined, clock: Clock) {
    this.node = node;
    this.#clock = clock;
    this.connectedMs = clock.wallMs();
    this.#activeVersion = version;
    this.#held = held;
  }

  get sync(): Sync {
    if (this.#sent === undefined) return "not-sent";
    if (this.#problems.length > 0) return "rejected";
    return this.#sent.version === this.#activeVersion ? "synced" : "stale";
  }

  /** An update is under way. */
  get isAwaiting(): boolean {
    return this.#awaiting !== undefined;
  }

  get sentVersion(): string {
    return this.#sent?.version ?? "";
  }

  get status() {
    return {
      sync: this.sync,
      sentVersion: this.sentVersion,
      activeVersion: this.#activeVersion,
      problems: this.#problems,
      connectedMs: this.connectedMs,
      acknowledgedMs: this.#acknowledgedMs,
    };
  }

  get wanted(): Resources | undefined {
    return this.#wanted;
  }

  offer(resources: Resources): void {
    if (this.#wanted?.version === resources.version) return;
    this.#wanted = resources;
    this.#wake();
  }

  /** False: it answers something that is not under way. */
  acknowledge({ version, problems, activeVersion }: Acknowledgement): boolean {
    if (this.#sent?.version !== version) return false;
    const accepted = problems.length === 0;
    this.#problems = problems
      .slice(0, PROBLEMS_MAX)
      .map((problem) => problem.slice(0, PROBLEM_LENGTH_MAX));
    this.#activeVersion = accepted ? version : activeVersion;
    this.#held = accepted ? this.#sent : undefined;
    this.#acknowledgedMs = this.#clock.wallMs();
    this.#answered();
    return true;
  }

  /** The next update, as soon as there is one; undefined: the stream is over. */
  async next(): Promise<ConfigUpdate | undefined> {
    while (!this.#closed) {
      const update = this.#take();
      if (update !== undefined) return update;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return undefined;
  }

  close(): void {
    this.#closed = true;
    this.#awaiting?.cancel();
    this.#wake();
  }

  #take(): ConfigUpdate | undefined {
    const wanted = this.#wanted;
    if (wanted === undefined || this.#awaiting !== undefined) return undefined;
    if (this.#sent?.version === wanted.version) return undefined;
    const update = this.#held === undefined ? wholeUpdate(wanted) : deltaUpdate(this.#held, wanted);
    this.#sent = wanted;
    // Until it answers nobody knows what it holds.
    this.#held = undefined;
    this.#problems = [];
    const cancel = this.#clock.after(ANSWER_MS, () => this.#answered());
    this.#awaiting = { version: wanted.version, cancel };
    return update;
  }

  #answered(): void {
    this.#awaiting?.cancel();
    this.#awaiting = undefined;
    this.#wake();
  }
}
