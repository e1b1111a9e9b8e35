/**
 * Records on their way to a collector over HTTP: collected, posted together when there are enough
 * or after a while, one post at a time. A collector that is away or asks to wait is tried again, a
 * few times, as OTLP has it. What does not fit or is not taken is lost, and counted.
 */
import { backoffMs } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { type Random, systemRandom } from "../core/random.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { BoundedFetch, type Fetched, type Post } from "./bounded-fetch.ts";

/** Text, or the octets of a message. */
type Encoded = string | Uint8Array;

export interface BatchPostOptions<R extends Encoded> {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly pushMs: number;
  /** Records of one post; four times as many may wait. */
  readonly batchMax: number;
  readonly contentType: string;
  readonly wrap: (records: readonly R[]) => string | Uint8Array<ArrayBuffer>;
  /** How many of the records the answer of a collector that took them refuses. */
  readonly refused?: (answer: Uint8Array) => number;
  /** Bodies are sent as gzip. */
  readonly isCompressed?: boolean;
  /** After the first try; 0 unless told. */
  readonly retriesMax?: number;
  readonly clock: Clock;
  readonly random?: Random;
  readonly log: Log;
  readonly lost: Counter;
}

/** What OTLP says may be sent again; 0: there was no answer. */
const RETRYABLE: ReadonlySet<number> = new Set([0, 429, 502, 503, 504]);
const RETRY_BASE_MS = 1_000;
/** Also of what a collector asks for. */
const RETRY_MAX_MS = 30_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** Of one post and of one record; four times as much may wait. Collectors take 20 MiB. */
const POST_BYTES_MAX = 4 * 1024 * 1024;

export class BatchPost<R extends Encoded> {
  readonly #options: BatchPostOptions<R>;
  readonly #fetch: BoundedFetch;
  readonly #waiting: R[] = [];
  #waitingBytes = 0;
  #posting = false;
  #cancelPush: (() => void) | undefined;
  #closed = false;
  #endPause: (() => void) | undefined;

  constructor(options: BatchPostOptions<R>) {
    this.#options = options;
    const { clock, timeoutMs } = options;
    this.#fetch = new BoundedFetch(clock, { bytesMax: ANSWER_BYTES_MAX, timeoutMs });
  }

  /** Nothing waits, nothing is under way. */
  get idle(): boolean {
    return !this.#posting && this.#waiting.length === 0;
  }

  add(record: R): void {
    const { batchMax, clock, lost, pushMs } = this.#options;
    const bytes = this.#waitingBytes + record.length;
    const large = record.length > POST_BYTES_MAX || bytes > 4 * POST_BYTES_MAX;
    if (this.#closed || large || this.#waiting.length >= 4 * batchMax) return lost.increment();
    this.#waiting.push(record);
    this.#waitingBytes = bytes;
    if (this.#waiting.length >= batchMax || bytes >= POST_BYTES_MAX) this.#push();
    else this.#cancelPush ??= clock.after(pushMs, () => this.#push());
  }

  /** What waits is posted now, or after what is under way. */
  flush(): void {
    this.#push();
  }

  /** What waits is posted; its answer is not waited for. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endPause?.();
    this.#push();
  }

  #push(): void {
    this.#cancelPush?.();
    this.#cancelPush = undefined;
    if (!this.#posting && this.#waiting.length > 0) void this.#post();
  }

  /** As many as one post may have: at least one, since none is larger than a post. */
  #take(): R[] {
    let count = 0;
    let bytes = 0;
    for (const record of this.#waiting) {
      if (count === this.#options.batchMax || bytes + record.length > POST_BYTES_MAX) break;
      bytes += record.length;
      count++;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  async #post(): Promise<void> {
    const { url, headers, wrap, contentType, isCompressed, refused, log, lost } = this.#options;
    this.#posting = true;
    const records = this.#take();
    const plain = wrap(records);
    const post: Post = isCompressed
      ? {
          type: contentType,
          body: Bun.gzipSync(plain),
          headers: { ...headers, "content-encoding": "gzip" },
        }
      : { type: contentType, body: plain, headers };
    const answer = await this.#deliver(post);
    this.#posting = false;
    if (answer.at === "failed") {
      lost.add(records.length);
      log.debug("records lost", { url, records: records.length, why: answer.why });
    } else {
      const count = Math.min(refused?.(answer.body) ?? 0, records.length);
      lost.add(count);
      if (count > 0) log.debug("records lost", { url, records: count, why: "refused" });
    }
    if (this.#waiting.length > 0) this.#push();
  }

  /** Tries until it is taken, refused for good, or was tried often enough. */
  async #deliver(post: Post): Promise<Fetched<Uint8Array>> {
    const { url, retriesMax = 0, random = systemRandom } = this.#options;
    for (let retries = 0; ; retries++) {
      const answer = await this.#fetch.bytes(url, post);
      const isOver = answer.at === "done" || !RETRYABLE.has(answer.status);
      if (isOver || retries >= retriesMax || this.#closed) return answer;
      const pauseMs = backoffMs(retries, RETRY_BASE_MS, RETRY_MAX_MS, random);
      await this.#pause(Math.max(pauseMs, Math.min(answer.retryAfterMs ?? 0, RETRY_MAX_MS)));
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
  }
}
