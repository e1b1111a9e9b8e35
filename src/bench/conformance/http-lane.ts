/**
 * One proxy as a process, between a client that sends raw octets and an upstream that records every
 * octet it gets. Several lanes run cases side by side; a lane runs one at a time.
 *
 * The inbound listener routes every host to the recorder, the outbound one those that it is given.
 * The proxy is dist/mesh if that is newer than every source, else the sources.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { meshBinary, Stage, until } from "../../spec/process.ts";
import { freePorts } from "../../testing/free-port.ts";
import { type OracleReading, readOracle } from "./http-oracle.ts";

const sources = join(import.meta.dir, "..", "..");

/** How to start mesh as it is now. */
function meshCommand(): string[] {
  const fromSources = [process.execPath, join(sources, "main.ts")];
  if (!existsSync(meshBinary)) return fromSources;
  const builtMs = statSync(meshBinary).mtimeMs;
  const isCurrent = [...new Bun.Glob("**/*.{ts,tsx,css}").scanSync(sources)].every(
    (path) =>
      /\.test\.ts$|^(bench|spec|testing)\//.test(path) ||
      statSync(join(sources, path)).mtimeMs < builtMs,
  );
  return isCurrent ? [meshBinary] : fromSources;
}

export interface RecordedConnection {
  /** One character an octet. */
  text: string;
  closed: boolean;
  /** Requests that it has answered. */
  answered: number;
  readonly socket: Bun.Socket<RecordedConnection>;
}

/** Called as octets arrive, with everything that the connection has got. */
export type Upstream = (connection: RecordedConnection, reading: OracleReading) => void;

export interface ClientOutcome {
  readonly text: string;
  readonly closed: boolean;
}

export interface SendOptions {
  /** Waits this long for the first octet, and for the end of what follows. */
  readonly firstMs: number;
  readonly idleMs: number;
  readonly listener?: "inbound" | "outbound";
  /** Sends the octets in pieces that end at these offsets, a moment apart. */
  readonly cuts?: readonly number[];
}

export class ProxyLane {
  connections: RecordedConnection[] = [];
  upstream: Upstream = () => {};
  readonly #stage = new Stage();
  readonly #ports = { inbound: 0, outbound: 0 };
  #server: { stop(force?: boolean): void } | undefined;

  /** `hosts`: what the outbound listener routes to the recorder. */
  async start(hosts: readonly string[] = []): Promise<void> {
    const server = Bun.listen<RecordedConnection>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { text: "", closed: false, answered: 0, socket };
          this.connections.push(socket.data);
        },
        data: (socket, bytes) => {
          socket.data.text += bytes.toString("latin1");
          this.upstream(socket.data, readOracle(socket.data.text));
        },
        close: (socket) => {
          socket.data.closed = true;
        },
        error: (socket) => {
          socket.data.closed = true;
        },
      },
    });
    this.#server = server;
    const [inbound = 0, outbound = 0, admin = 0, readiness = 0] = freePorts(4);
    Object.assign(this.#ports, { inbound, outbound });
    const address = (port: number): string => `127.0.0.1:${port}`;
    const running = this.#stage.run([
      ...meshCommand(),
      ...["proxy", "--manager", "none", "--service", "vectors", "--app-port", `${server.port}`],
      ...["--inbound", address(inbound), "--outbound", address(outbound)],
      ...["--admin", address(admin), "--readiness", address(readiness)],
      ...hosts.flatMap((host) => ["--upstream", `${host}=${address(server.port)}`]),
      ...["--state-dir", join(this.#stage.directory, "state"), "--access-log", "none"],
    ]);
    await until(`the proxy to be ready; it said: ${running.output()}`, () => {
      if (running.child.exitCode !== null) throw new Error(running.output());
      return running.output().includes("proxy ready");
    });
  }

  async stop(): Promise<void> {
    this.#server?.stop(true);
    await this.#stage.close();
  }

  /** Forgets the connections that are over; those of a pool stay. */
  clear(): void {
    this.connections = this.connections.filter(({ closed }) => !closed);
    for (const connection of this.connections) {
      connection.text = "";
      connection.answered = 0;
    }
  }

  /** Sends octets on a connection of their own and returns what came back. */
  async send(bytes: Uint8Array, options: SendOptions): Promise<ClientOutcome> {
    let text = "";
    let closed = false;
    let lastMs = performance.now();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: this.#ports[options.listener ?? "inbound"],
      socket: {
        data(_, chunk) {
          text += chunk.toString("latin1");
          lastMs = performance.now();
        },
        drain() {},
        close() {
          closed = true;
        },
        error() {
          closed = true;
        },
      },
    });
    let start = 0;
    for (const cut of [...(options.cuts ?? []), bytes.length]) {
      if (start > 0) await Bun.sleep(1);
      await writeAll(socket, bytes.subarray(start, cut), () => closed);
      start = cut;
    }
    lastMs = performance.now();
    while (!closed) {
      const quietMs = performance.now() - lastMs;
      if (quietMs > (text === "" ? options.firstMs : options.idleMs)) break;
      await Bun.sleep(1);
    }
    const outcome = { text, closed };
    socket.end();
    return outcome;
  }
}

/** Writes all octets, however many the kernel takes at a time, unless the socket is closed. */
export async function writeAll(
  socket: Bun.Socket<unknown>,
  bytes: Uint8Array,
  isClosed: () => boolean,
): Promise<void> {
  for (let sent = 0; sent < bytes.length && !isClosed(); ) {
    const written = socket.write(bytes.subarray(sent, sent + 65536));
    if (written < 0) return;
    sent += written;
    if (written === 0) await Bun.sleep(1);
  }
}

const laneCount = 2;

/** Runs the cases over a few lanes; the verdicts come in the order of the cases. */
export async function overLanes<Case, Verdict>(
  cases: readonly Case[],
  hosts: readonly string[],
  judge: (lane: ProxyLane, one: Case) => Promise<Verdict>,
): Promise<Verdict[]> {
  const lanes = Array.from({ length: laneCount }, () => new ProxyLane());
  const verdicts: Verdict[] = [];
  try {
    await Promise.all(lanes.map((lane) => lane.start(hosts)));
    let next = 0;
    await Promise.all(
      lanes.map(async (lane) => {
        while (next < cases.length) {
          const i = next++;
          verdicts[i] = await judge(lane, cases[i]!);
        }
      }),
    );
  } finally {
    await Promise.all(lanes.map((lane) => lane.stop()));
  }
  return verdicts;
}
