/**
 * What TLS costs a server: processor time of a handshake, of a gigabyte received, and of a small
 * request on a connection that stands, the latter two as ratios to plaintext and to TLS as
 * Bun.listen does it by itself. Server and load have a core each; variants are interleaved.
 */
import { CertificateAuthority, type Issued } from "../testing/certificate-authority.ts";
import { cpuMicros, median } from "./measure.ts";

const KINDS = ["plain", "native", "tls", "tls1.2", "mtls"] as const;
type Kind = (typeof KINDS)[number];

export interface TlsBenchOptions {
  readonly rounds: number;
  readonly seconds: number;
}

interface Figures {
  /** Microseconds of the server. */
  readonly handshake: number[];
  readonly request: number[];
  /** Milliseconds of the server. */
  readonly gigabyte: number[];
}

const CONNECTIONS = 32;
const HANDSHAKES = 1_000;
const BULK_BYTES = 1e9;

export async function benchTls({ rounds, seconds }: TlsBenchOptions): Promise<void> {
  const root = new CertificateAuthority();
  const web = root.issue({ name: "web", for: ["DNS:web.example"] });
  const client = root.issue({ name: "client" });
  const figures = new Map<Kind, Figures>(
    KINDS.map((kind) => [kind, { handshake: [], request: [], gigabyte: [] }]),
  );
  for (let round = 0; round < rounds; round++)
    for (const kind of KINDS) {
      const server = await Server.start(kind, web, root.certificate);
      const { handshake, request, gigabyte } = figures.get(kind)!;
      const tls = kind === "plain" ? undefined : clientTls(kind, client);
      handshake.push(await handshakes(server, tls));
      request.push(await requests(server, tls, seconds));
      gigabyte.push(await bulk(server, tls));
      await server.stop();
    }
  report(figures);
}

function clientTls(kind: Kind, { chain, key }: Issued): Bun.TLSOptions {
  const own = kind === "mtls" ? { cert: chain, key } : {};
  return { rejectUnauthorized: false, serverName: "web.example", ...own };
}

function report(figures: ReadonlyMap<Kind, Figures>): void {
  const of = (kind: Kind, what: keyof Figures): number => median(figures.get(kind)![what]);
  const column = (value: number): string => value.toFixed(2).padStart(10);
  console.log("".padEnd(8), "handshake µs  a second of a core  request µs    /plain   /native");
  for (const kind of KINDS) {
    const [handshake, request] = [of(kind, "handshake"), of(kind, "request")];
    console.log(
      kind.padEnd(8),
      handshake.toFixed(0).padStart(12),
      (1e6 / handshake).toFixed(0).padStart(17),
      column(request),
      column(request / of("plain", "request")),
      column(request / of("native", "request")),
    );
  }
  console.log("".padEnd(8), "ms a GB received    /plain   /native");
  for (const kind of KINDS) {
    const gigabyte = of(kind, "gigabyte");
    console.log(
      kind.padEnd(8),
      gigabyte.toFixed(0).padStart(16),
      column(gigabyte / of("plain", "gigabyte")),
      column(gigabyte / of("native", "gigabyte")),
    );
  }
}

class Server {
  readonly port: number;
  readonly #run: Bun.Subprocess;

  private constructor(run: Bun.Subprocess, port: number) {
    this.#run = run;
    this.port = port;
  }

  static async start(kind: Kind, { chain, key }: Issued, root: string): Promise<Server> {
    const script = new URL("tls-server.ts", import.meta.url).pathname;
    const command = ["taskset", "-c", "0", process.execPath, script, kind];
    const stdin = new Blob([JSON.stringify({ chain, key, root })]);
    const run = Bun.spawn(command, { stdin, stdout: "pipe", stderr: "inherit" });
    let text = "";
    for await (const bytes of run.stdout) {
      text += Buffer.from(bytes).toString();
      if (text.includes("\n")) break;
    }
    return new Server(run, Number(text));
  }

  get cpuMicros(): number {
    return cpuMicros(this.#run.pid);
  }

  async stop(): Promise<void> {
    this.#run.kill();
    await this.#run.exited;
  }
}

interface Events {
  /** The connection stands, its handshake included. */
  ready(socket: Bun.Socket<undefined>): void;
  data(socket: Bun.Socket<undefined>): void;
  drain(socket: Bun.Socket<undefined>): void;
}

function connect({ port }: Server, tls: Bun.TLSOptions | undefined, events: Events) {
  const { ready, data, drain } = events;
  const common = { data, drain, close() {} };
  const socket =
    tls === undefined ? { ...common, open: ready } : { ...common, open() {}, handshake: ready };
  return Bun.connect({ hostname: "127.0.0.1", port, ...(tls && { tls }), socket });
}

/** One after another, so that none waits. */
async function handshakes(server: Server, tls: Bun.TLSOptions | undefined): Promise<number> {
  const run = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const answered = Promise.withResolvers<void>();
      const socket = await connect(server, tls, {
        ready: (ready) => void ready.write("GET / HTTP/1.1\r\n\r\n"),
        data: () => answered.resolve(),
        drain() {},
      });
      await answered.promise;
      socket.end();
    }
  };
  await run(100);
  const before = server.cpuMicros;
  await run(HANDSHAKES);
  return (server.cpuMicros - before) / HANDSHAKES;
}

async function requests(
  server: Server,
  tls: Bun.TLSOptions | undefined,
  seconds: number,
): Promise<number> {
  const request = Buffer.from("GET / HTTP/1.1\r\nHost: web.example\r\nUser-Agent: bench\r\n\r\n");
  let count = 0;
  const again = (socket: Bun.Socket<undefined>): void => void socket.write(request);
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, () =>
      connect(server, tls, {
        ready: again,
        data(socket) {
          count++;
          again(socket);
        },
        drain() {},
      }),
    ),
  );
  await Bun.sleep(500);
  const [before, countBefore] = [server.cpuMicros, count];
  await Bun.sleep(seconds * 1_000);
  const each = (server.cpuMicros - before) / (count - countBefore);
  for (const socket of sockets) socket.end();
  return each;
}

async function bulk(server: Server, tls: Bun.TLSOptions | undefined): Promise<number> {
  const chunk = new Uint8Array(1 << 20);
  let sent = 0;
  const done = Promise.withResolvers<void>();
  const push = (socket: Bun.Socket<undefined>): void => {
    while (sent < BULK_BYTES) {
      const taken = socket.write(chunk, 0, chunk.length);
      sent += Math.max(0, taken);
      if (taken < chunk.length) return;
    }
    done.resolve();
  };
  const before = server.cpuMicros;
  const socket = await connect(server, tls, { ready: push, data() {}, drain: push });
  await done.promise;
  await Bun.sleep(300);
  socket.end();
  return (server.cpuMicros - before) / 1e3 / (sent / 1e9);
}
