/**
 * Good clients beside 10,000 that send their request heads a byte at a time: p99 of the good ones
 * without and with the slow ones, as a ratio, and how the slow ones end.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { median, memoryMb, wrk } from "./measure.ts";
import { HOST, type Peer, startMesh, startUpstream } from "./peer.ts";
import { serviceRules } from "./rule-set.ts";

const SLOW_CONNECTIONS = 10_000;
const ROUNDS = 3;

export async function benchSlow(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const [upstreamPort, port] = freePorts(2);
    running.push(await startUpstream(directory, upstreamPort!));
    const rules = join(directory, "rules");
    mkdirSync(rules);
    writeFileSync(join(rules, "rules.yaml"), serviceRules(upstreamPort!));
    const mesh = await startMesh("mesh", directory, port!, { rules });
    running.push(mesh);
    await goodP99Ms(port!);
    const alone = await goodP99Ms(port!);
    const before = memoryMb(mesh.pid).rss;
    const slow = new SlowClients(port!);
    await slow.open();
    const beside = await goodP99Ms(port!);
    const memory = memoryMb(mesh.pid).rss - before;
    const ended = await slow.close();
    console.log(
      `p99 of good clients: alone ${alone.toFixed(2)} ms, beside ${SLOW_CONNECTIONS} slow ones`,
      `${beside.toFixed(2)} ms: ratio ${(beside / alone).toFixed(2)};`,
      `memory +${memory.toFixed(1)} MB`,
    );
    console.log(`the slow ones: ${[...ended].map(([how, n]) => `${n} ${how}`).join(", ")}`);
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function goodP99Ms(port: number): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const url = `http://127.0.0.1:${port}/`;
    const result = await wrk({ url, host: HOST, connections: 16, seconds: 3 });
    if (result.requests === 0 || result.errors > 0) throw new Error("good clients were refused");
    values.push(result.p99Ms);
  }
  return median(values);
}

/** Each sends one octet of a header field a second, at a time of its own. */
class SlowClients {
  readonly #port: number;
  readonly #sockets: Bun.Socket<undefined>[] = [];
  readonly #ended = new Map<string, number>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  async open(): Promise<void> {
    for (let i = 0; i < SLOW_CONNECTIONS; i++) {
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: this.#port,
        socket: {
          data: (_, chunk) => this.#end(`answered ${chunk.subarray(9, 12).toString()}`),
        },
      });
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
      this.#sockets.push(socket);
    }
    let turn = 0;
    this.#timer = setInterval(() => {
      turn = (turn + 1) % 100;
      for (let i = turn; i < this.#sockets.length; i += 100) {
        const socket = this.#sockets[i]!;
        if (socket.readyState === 1) socket.write("x");
      }
    }, 10);
  }

  /** Waits until the proxy has had time to end all of them, and says how they ended. */
  async close(): Promise<ReadonlyMap<string, number>> {
    await Bun.sleep(11_000);
    clearInterval(this.#timer);
    const answered = [...this.#ended.values()].reduce((sum, n) => sum + n, 0);
    if (answered < SLOW_CONNECTIONS) this.#ended.set("not answered", SLOW_CONNECTIONS - answered);
    for (const socket of this.#sockets) socket.terminate();
    return this.#ended;
  }

  #end(how: string): void {
    this.#ended.set(how, (this.#ended.get(how) ?? 0) + 1);
  }
}
