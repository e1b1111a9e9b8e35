/**
 * Records on their way to a collector over HTTP: collected, posted together when there are enough
 * or after a while, one post at a time. What does not fit or is not taken is lost, and counted.
 */
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { BoundedFetch } from "./bounded-fetch.ts";

export interface BatchPostOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly pushMs: number;
  /** Records of one post; four times as many may wait. */
  readonly batchMax: number;
  /** Of records that are JSON each. */
  readonly wrap: (records: readonly string[]) => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly lost: Counter;
}

const ANSWER_BYTES_MAX = 64 * 1024;

export class BatchPost {
  readonly #options: BatchPostOptions;
  readonly #fetch: BoundedFetch;
  #waiting: string[] = [];
  #posting = false;
  #cancelPush: (() => void) | undefined;
  #closed = false;

  constructor(options: BatchPostOptions) {
    this.#options = options;
    const { clock, timeoutMs } = options;
    this.#fetch = new BoundedFetch(clock, { bytesMax: ANSWER_BYTES_MAX, timeoutMs });
  }

  add(record: string): void {
    const { batchMax, clock, lost, pushMs } = this.#options;
    if (this.#closed || this.#waiting.length >= 4 * batchMax) return lost.increment();
    this.#waiting.push(record);
    if (this.#waiting.length >= batchMax) this.#push();
    else this.#cancelPush ??= clock.after(pushMs, () => this.#push());
  }

  /** What waits is posted; its answer is not waited for. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#push();
  }

  #push(): void {
    this.#cancelPush?.();
    this.#cancelPush = undefined;
    if (!this.#posting && this.#waiting.length > 0) void this.#post();
  }

  async #post(): Promise<void> {
    const { url, headers, wrap, batchMax, log, lost } = this.#options;
    this.#posting = true;
    const records = this.#waiting.splice(0, batchMax);
    const post = { type: "application/json", body: wrap(records), headers };
    const answer = await this.#fetch.text(url, post);
    this.#posting = false;
    if (answer.at === "failed") {
      lost.add(records.length);
      log.debug("records lost", { url, records: records.length, why: answer.why });
    }
    if (this.#waiting.length > 0) this.#push();
  }
}
