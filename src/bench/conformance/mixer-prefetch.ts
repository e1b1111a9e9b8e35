/**
 * Quotas fetched ahead, against a server that counts in windows: how far off is the whole?
 *
 * The vectors do not say to the millisecond how that server's windows follow each other, nor which
 * request of four is the second client's: a thousandth more than they allow is put down to that.
 */
import { type Fetch, QuotaPrefetch } from "../../proxy/mixer-client/quota-prefetch.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

export interface Simulation {
  readonly clients?: number;
  readonly server?: string | SimulatedServer;
  readonly rate?: number;
  readonly window_ms?: number;
  readonly delta?: number;
  readonly response_delay_ms?: number;
  readonly windows_per_phase?: number;
  readonly phases?: readonly Phase[];
}

interface SimulatedServer {
  readonly kind: string;
  readonly rate: number;
  readonly window_ms: number;
}

interface Phase {
  readonly traffic_per_window: number;
  readonly max_relative_error: number;
}

const TOLERANCE = 0.001;

interface Server {
  alloc(amount: number, nowMs: number): { amount: number; validMs: number };
}

/** Filled up when a window has passed: the first begins with the first call. */
class WindowServer implements Server {
  readonly #rate: number;
  readonly #windowMs: number;
  #left = 0;
  #endsAtMs = -Infinity;

  constructor(rate: number, windowMs: number) {
    this.#rate = rate;
    this.#windowMs = windowMs;
  }

  alloc(amount: number, nowMs: number) {
    if (nowMs >= this.#endsAtMs) {
      this.#left = this.#rate;
      if (this.#endsAtMs === -Infinity) this.#endsAtMs = nowMs;
      while (nowMs >= this.#endsAtMs) this.#endsAtMs += this.#windowMs;
    }
    const granted = Math.min(amount, this.#left);
    this.#left -= granted;
    return { amount: granted, validMs: this.#endsAtMs - nowMs };
  }
}

/** Filled up all the time, in whole tokens; what is less than one is lost at each call. */
class BucketServer implements Server {
  readonly #rate: number;
  readonly #windowMs: number;
  #left: number;
  #atMs = 0;

  constructor(rate: number, windowMs: number) {
    this.#rate = rate;
    this.#windowMs = windowMs;
    this.#left = rate;
  }

  alloc(amount: number, nowMs: number) {
    const gained = Math.floor(((nowMs - this.#atMs) * this.#rate) / this.#windowMs);
    this.#left = Math.min(this.#rate, this.#left + gained);
    this.#atMs = nowMs;
    const granted = Math.min(amount, this.#left);
    this.#left -= granted;
    return { amount: granted, validMs: this.#windowMs };
  }
}

function serverOf(kind: unknown, rate: number, windowMs: number): Server {
  return kind === "token_bucket"
    ? new BucketServer(rate, windowMs)
    : new WindowServer(rate, windowMs);
}

class Client {
  readonly #prefetch: QuotaPrefetch;
  readonly #fetch: Fetch;

  constructor(clock: VirtualClock, server: Server, delayMs: number) {
    this.#prefetch = new QuotaPrefetch({ optimistic: true, closedMs: 500 }, clock.nowMs());
    this.#fetch = (amount) => {
      const grant = server.alloc(amount, clock.nowMs());
      clock.after(delayMs, () => this.#prefetch.fetched(grant, clock.nowMs(), this.#fetch));
    };
  }

  take(amount: number, nowMs: number): boolean {
    return this.#prefetch.take(amount, nowMs, this.#fetch, () => {}) === "granted";
  }
}

export function judgeSimulation(one: Simulation): string | undefined {
  const { rate = 0, window_ms: windowMs = 0, windows_per_phase: windows = 0 } = one;
  const clock = new VirtualClock();
  const server = serverOf(one.server, rate, windowMs);
  const clients = Array.from(
    { length: one.clients ?? 1 },
    () => new Client(clock, server, one.response_delay_ms ?? 0),
  );
  const problems: string[] = [];
  for (const [i, { traffic_per_window: traffic, max_relative_error: most }] of (
    one.phases ?? []
  ).entries()) {
    const passed = drive(clock, clients, { requests: traffic * windows, ms: windowMs * windows });
    const right = Math.min(rate, traffic) * windows;
    const error = Math.abs(passed - right) / right;
    if (error > most + TOLERANCE) problems.push(`phase ${i}: ${error.toFixed(5)}, not ${most}`);
  }
  return problems.length === 0 ? undefined : problems.join("; ");
}

/** Evenly; of two clients the first has three of four requests. */
function drive(
  clock: VirtualClock,
  clients: readonly Client[],
  { requests, ms }: { readonly requests: number; readonly ms: number },
): number {
  let passed = 0;
  const startMs = clock.nowMs();
  for (let i = 0; i < requests; i++) {
    const atMs = startMs + (i * ms) / requests;
    clock.advance(atMs - clock.nowMs());
    const client = clients.length > 1 && i % 4 === 0 ? clients[1]! : clients[0]!;
    if (client.take(1, clock.nowMs())) passed++;
  }
  clock.advance(startMs + ms - clock.nowMs());
  return passed;
}

interface Steps {
  readonly server: SimulatedServer;
  readonly response_delay_ms?: number;
  readonly steps: readonly {
    readonly at_ms: number;
    readonly amount: number;
    readonly passed: boolean;
  }[];
}

export function judgeSteps({ server, steps, response_delay_ms: delay = 0 }: Steps) {
  const clock = new VirtualClock();
  const client = new Client(clock, serverOf(server.kind, server.rate, server.window_ms), delay);
  for (const { at_ms: atMs, amount, passed } of steps) {
    clock.advance(atMs - clock.nowMs());
    if (client.take(amount, atMs) !== passed) return `at ${atMs} ms: passed is ${!passed}`;
    clock.advance(0);
  }
  return undefined;
}
