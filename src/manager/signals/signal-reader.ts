/**
 * Reads the metrics of connected proxies every few seconds while somebody looks at the dashboard,
 * so that a mesh shows its golden signals with nothing else installed. Only admin ports on loopback
 * are read: the address comes from whoever registered, and we are not to be sent elsewhere.
 */
import type { Clock } from "../../core/clock.ts";
import { goldenSignals, type ServiceSignals } from "./golden-signals.ts";
import { type CountsBySeries, countsSince, readRequestCounts } from "./request-counts.ts";

export interface SignalReaderOptions {
  readonly clock: Clock;
  /** Admin addresses of the proxies that are connected now. */
  readonly addresses: () => readonly string[];
  readonly isWatched: () => boolean;
  readonly onRead: () => void;
}

const INTERVAL_MS = 2_000;
const WINDOW_READINGS = 10;
const READ_TIMEOUT_MS = 1_000;
const TEXT_BYTES_MAX = 8 << 20;
/** More proxies than that are read in turns. */
const PROXIES_AT_ONCE = 32;
const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|\[::1\]):\d{1,5}$/;

export class SignalReader {
  readonly #options: SignalReaderOptions;
  readonly #last = new Map<string, CountsBySeries>();
  #window: { readonly fromMs: number; readonly counts: readonly CountsBySeries[] }[] = [];
  #windowEndMs = 0;
  #next = 0;
  #closed = false;
  #cancel: () => void = () => {};

  constructor(options: SignalReaderOptions) {
    this.#options = options;
    this.#schedule();
  }

  /** By full host name; empty until two readings were made. */
  signals(): ReadonlyMap<string, ServiceSignals> {
    const first = this.#window[0];
    if (first === undefined) return new Map();
    const counts = this.#window.flatMap((reading) => reading.counts);
    return goldenSignals(counts, this.#windowEndMs - first.fromMs);
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #schedule(): void {
    if (!this.#closed) this.#cancel = this.#options.clock.after(INTERVAL_MS, () => this.#tick());
  }

  #tick(): void {
    if (this.#options.isWatched()) {
      void this.#read().then(() => this.#schedule());
      return;
    }
    this.#last.clear();
    this.#window = [];
    this.#windowEndMs = 0;
    this.#schedule();
  }

  /** Never rejects. */
  async #read(): Promise<void> {
    const startMs = this.#options.clock.nowMs();
    const all = this.#options.addresses().filter((address) => LOOPBACK.test(address));
    for (const known of [...this.#last.keys()]) if (!all.includes(known)) this.#last.delete(known);
    const from = all.length <= PROXIES_AT_ONCE ? 0 : this.#next % all.length;
    const some = [...all.slice(from), ...all.slice(0, from)].slice(0, PROXIES_AT_ONCE);
    this.#next = from + some.length;
    const counts = await Promise.all(some.map((address) => this.#readOne(address)));
    if (this.#closed) return;
    if (this.#windowEndMs > 0)
      this.#window.push({
        fromMs: this.#windowEndMs,
        counts: counts.filter((one) => one !== undefined),
      });
    this.#windowEndMs = startMs;
    if (this.#window.length > WINDOW_READINGS) this.#window.shift();
    this.#options.onRead();
  }

  /** What one proxy counted since it was last read; undefined: it was not, or does not answer. */
  async #readOne(address: string): Promise<CountsBySeries | undefined> {
    try {
      const signal = AbortSignal.timeout(READ_TIMEOUT_MS);
      const url = `http://${address}/stats/prometheus?own`;
      const response = await fetch(url, { signal, redirect: "error" });
      const text = response.ok ? await boundedText(response) : undefined;
      if (text === undefined) return undefined;
      const counts = readRequestCounts(text);
      const before = this.#last.get(address);
      this.#last.set(address, counts);
      return before === undefined ? undefined : countsSince(before, counts);
    } catch {
      // Gone, or too slow: the next reading may find it.
      return undefined;
    }
  }
}

async function boundedText(response: Response): Promise<string | undefined> {
  if (response.body === null) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > TEXT_BYTES_MAX) return undefined;
  }
  return text + decoder.decode();
}
