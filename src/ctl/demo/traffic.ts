/**
 * A few visitors of the product page: one every now and then, some of them logged in as test-user,
 * and a small crowd every few seconds. Counts what they got.
 */
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import { httpGet } from "../http-get.ts";

export interface TrafficCount {
  readonly requests: number;
  /** Pages that did not come, or came with a part missing. */
  readonly errors: number;
  /** Pages by the version of reviews in them; "unavailable" is one. */
  readonly reviews: Readonly<Record<string, number>>;
  /** Of the last hundred pages. */
  readonly medianMs: number;
  readonly slowestMs: number;
}

export interface TrafficOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
}

const MEAN_GAP_MS = 250;
const CROWD = 8;
const CROWD_GAP_MS = 5_000;
const TIMEOUT_MS = 10_000;
const REMEMBERED = 100;

export class Traffic {
  readonly #options: TrafficOptions;
  readonly #reviews: Record<string, number> = {};
  readonly #recentMs: number[] = [];
  readonly #cancels = new Set<() => void>();
  #requests = 0;
  #errors = 0;

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  start(): void {
    this.#repeat(
      () => -Math.log(1 - this.#options.random()) * MEAN_GAP_MS,
      () => void this.visit(),
    );
    this.#repeat(
      () => CROWD_GAP_MS,
      () => {
        for (let i = 0; i < CROWD; i++) void this.visit();
      },
    );
  }

  stop(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  /** One page. */
  async visit(): Promise<void> {
    const { clock, random, url } = this.#options;
    const startMs = clock.nowMs();
    const headers: Record<string, string> = random() < 0.25 ? { cookie: "user=test-user" } : {};
    let parts: readonly string[] = ["unavailable"];
    let reviews = "unavailable";
    try {
      const answer = await httpGet(url, { timeoutMs: TIMEOUT_MS, headers });
      const part = (name: string): string => String(answer.headers[`x-bookinfo-${name}`] ?? "");
      if (answer.status === 200) {
        reviews = part("reviews") || "unavailable";
        parts = [reviews, part("details"), part("ratings")];
      }
    } catch {
      // Counted below.
    }
    this.#requests++;
    if (parts.includes("unavailable")) this.#errors++;
    this.#reviews[reviews] = (this.#reviews[reviews] ?? 0) + 1;
    this.#recentMs.push(clock.nowMs() - startMs);
    if (this.#recentMs.length > REMEMBERED) this.#recentMs.shift();
  }

  count(): TrafficCount {
    const sorted = [...this.#recentMs].sort((a, b) => a - b);
    return {
      requests: this.#requests,
      errors: this.#errors,
      reviews: { ...this.#reviews },
      medianMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
      slowestMs: sorted.at(-1) ?? 0,
    };
  }

  #repeat(gapMs: () => number, action: () => void): void {
    let cancel = (): void => {};
    const again = (): void => {
      this.#cancels.delete(cancel);
      cancel = this.#options.clock.after(gapMs(), () => {
        action();
        again();
      });
      this.#cancels.add(cancel);
    };
    again();
  }
}

/** "312 pages, 0 errors, median 9 ms, slowest 31 ms; reviews v1 33%, v2 34%, v3 33%" */
export function trafficText(now: TrafficCount, before?: TrafficCount): string {
  const of = (name: string): number => (now.reviews[name] ?? 0) - (before?.reviews[name] ?? 0);
  const names = Object.keys(now.reviews).sort();
  const total = names.reduce((sum, name) => sum + of(name), 0);
  const split = names
    .filter((name) => of(name) > 0)
    .map((name) => `${name} ${Math.round((100 * of(name)) / total)}%`);
  const times = `median ${now.medianMs.toFixed(0)} ms, slowest ${now.slowestMs.toFixed(0)} ms`;
  const shares = split.length === 0 ? "" : `; reviews ${split.join(", ")}`;
  return `${now.requests} pages, ${now.errors} errors, ${times}${shares}`;
}
