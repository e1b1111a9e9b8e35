/**
 * bun src/bench/paced-client.ts http1|http2 PORT HOST PATH RATE SECONDS CONNECTIONS
 *
 * An open loop: sends RATE requests a second, whether or not the earlier ones were answered, and
 * counts each from the time it was due. What waits for a connection, or for this client, has
 * waited; nothing is left out (coordinated omission). It polls instead of sleeping, since a timer
 * is late by more than what is measured; how late it was itself it says beside the result, as JSON.
 */
import { quantile } from "./measure.ts";
import { openHttp1, openHttp2, type PacedConnection } from "./paced-connection.ts";

/** Of the beginning, in which this client compiles itself, nothing is counted. */
const LEAD_IN_MS = 1_000;
/** After the last request: what is not answered by then has failed. */
const GRACE_MS = 2_000;

export interface PacedResult {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** 99 of 100 times at which a request was due were seen no later than this. */
  readonly lateP99Ms: number;
  /** What this process had of its processor while it polled. */
  readonly share: number;
  readonly counted: number;
  /** No 200, or no answer at all. */
  readonly failed: number;
  /** How the first of them failed. */
  readonly failure: string;
}

class Run {
  readonly latencies: number[] = [];
  readonly lateness: number[] = [];
  failed = 0;
  failure = "";
  readonly #connections: PacedConnection[] = [];
  readonly #count: number;
  readonly #gapMs: number;
  /** When request 0 is due, and from when they are counted. */
  readonly #start = performance.now() + 100;
  readonly #countedFrom = this.#start + LEAD_IN_MS;
  #seen = 0;
  #sent = 0;
  #ended = 0;
  #turn = 0;

  constructor(rate: number, seconds: number) {
    this.#gapMs = 1_000 / rate;
    this.#count = Math.round((seconds + LEAD_IN_MS / 1_000) * rate);
  }

  use(connections: readonly PacedConnection[]): void {
    this.#connections.push(...connections);
  }

  ended(due: number, failure: string): void {
    this.#ended++;
    if (failure !== "") this.#fail(1, failure);
    else if (due >= this.#countedFrom) this.latencies.push(performance.now() - due);
  }

  /** Ends when all is answered, or given up. */
  done(): Promise<void> {
    const last = this.#start + this.#count * this.#gapMs + GRACE_MS;
    const { promise, resolve } = Promise.withResolvers<void>();
    const turn = (): void => {
      const now = performance.now();
      this.#poll(now);
      if (this.#ended < this.#count && now < last) setImmediate(turn);
      else resolve();
    };
    turn();
    return promise.then(() => {
      const missing = this.#count - this.#ended;
      if (missing > 0) this.#fail(missing, `not answered, ${this.#count - this.#sent} not sent`);
    });
  }

  #fail(count: number, failure: string): void {
    this.failed += count;
    this.failure ||= failure;
  }

  #poll(now: number): void {
    for (; this.#seen < this.#count && this.#due(this.#seen) <= now; this.#seen++)
      if (this.#due(this.#seen) >= this.#countedFrom)
        this.lateness.push(now - this.#due(this.#seen));
    while (this.#sent < this.#seen) {
      const connection = this.#free();
      if (connection === undefined) return;
      connection.send(this.#due(this.#sent++));
    }
  }

  #due(request: number): number {
    return this.#start + request * this.#gapMs;
  }

  /** The next in turn that may send. */
  #free(): PacedConnection | undefined {
    for (let tries = 0; tries < this.#connections.length; tries++) {
      this.#turn = (this.#turn + 1) % this.#connections.length;
      const connection = this.#connections[this.#turn]!;
      if (connection.isFree) return connection;
    }
    return undefined;
  }
}

async function main(args: readonly string[]): Promise<void> {
  const [version, port, host, path, rate, seconds, connections] = args;
  const target = { port: Number(port), host: host!, path: path! };
  const open = version === "http2" ? openHttp2 : openHttp1;
  const opened: PacedConnection[] = [];
  const ends: { to: Run | undefined } = { to: undefined };
  for (let i = 0; i < Number(connections); i++)
    opened.push(await open(target, (due, failure) => ends.to?.ended(due, failure)));
  const run = new Run(Number(rate), Number(seconds));
  ends.to = run;
  run.use(opened);
  const [begun, used] = [performance.now(), process.cpuUsage()];
  await run.done();
  const { user, system } = process.cpuUsage(used);
  const result: PacedResult = {
    p50Ms: quantile(run.latencies, 0.5),
    p99Ms: quantile(run.latencies, 0.99),
    p999Ms: quantile(run.latencies, 0.999),
    lateP99Ms: quantile(run.lateness, 0.99),
    share: (user + system) / 1_000 / (performance.now() - begun),
    counted: run.latencies.length,
    failed: run.failed,
    failure: run.failure,
  };
  ends.to = undefined;
  for (const connection of opened) connection.close();
  console.log(JSON.stringify(result));
  process.exit(0);
}

await main(process.argv.slice(2));
