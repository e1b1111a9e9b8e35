/**
 * One line in the log for each destination outside of the mesh that is called, so that an operator
 * learns what there is: passed on, or refused. Bounded, since callers choose the destinations: what
 * was logged in the last hour is left out, and no more than ten lines are written a second.
 */
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";

const KNOWN_MAX = 1_024;
const REPEAT_MS = 3_600_000;
const LINES_MAX = 10;
const PERIOD_MS = 1_000;

export type UnknownOutcome = "passed on" | "refused";

export class UnknownHosts {
  readonly #log: Log;
  readonly #clock: Clock;
  /** Host and outcome → when it was logged; the oldest first. */
  readonly #known = new Map<string, number>();
  #periodMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #leftOut = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** `host`: "198.51.100.7:443", or a name with its port. */
  note(host: string, outcome: UnknownOutcome, serverName = ""): void {
    const now = this.#clock.nowMs();
    const key = `${host} ${outcome}`;
    const loggedMs = this.#known.get(key);
    if (loggedMs !== undefined && now - loggedMs < REPEAT_MS) return;
    if (!this.#mayLog(now)) {
      this.#leftOut++;
      return;
    }
    this.#known.delete(key);
    if (this.#known.size >= KNOWN_MAX) this.#known.delete(this.#known.keys().next().value ?? "");
    this.#known.set(key, now);
    this.#log.info(`${outcome}: a destination that the mesh does not know`, {
      host,
      ...(serverName !== "" && { server_name: serverName }),
      ...(this.#leftOut > 0 && { left_out: this.#leftOut }),
    });
    this.#leftOut = 0;
  }

  #mayLog(now: number): boolean {
    if (now - this.#periodMs >= PERIOD_MS) {
      this.#periodMs = now;
      this.#lines = 0;
    }
    return this.#lines++ < LINES_MAX;
  }
}
