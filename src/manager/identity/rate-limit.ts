/** How often somebody may do something: a bucket for each, filled evenly, of a bounded number. */
import type { Clock } from "../../core/clock.ts";

export interface RateLimitOptions {
  readonly clock: Clock;
  /** At once, after a while of nothing. */
  readonly burst: number;
  readonly perSecond: number;
  /** Of buckets: who has been away longest is forgotten. */
  readonly keysMax?: number;
}

interface Bucket {
  left: number;
  sinceMs: number;
}

const KEYS_MAX = 20_000;

export class RateLimit {
  readonly #options: RateLimitOptions;
  /** The one used last is last. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  /** Whether one more is possible; takes none. */
  allows(key: string): boolean {
    return this.#bucket(key).left >= 1;
  }

  /** Takes one, if there is one. */
  take(key: string): boolean {
    const bucket = this.#bucket(key);
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }

  #bucket(key: string): Bucket {
    const { clock, burst, perSecond, keysMax = KEYS_MAX } = this.#options;
    const nowMs = clock.nowMs();
    const bucket = this.#buckets.get(key) ?? { left: burst, sinceMs: nowMs };
    bucket.left = Math.min(burst, bucket.left + ((nowMs - bucket.sinceMs) / 1_000) * perSecond);
    bucket.sinceMs = nowMs;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > keysMax) {
      const [oldest = key] = this.#buckets.keys();
      this.#buckets.delete(oldest);
    }
    return bucket;
  }
}
