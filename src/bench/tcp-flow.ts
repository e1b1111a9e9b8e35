/**
 * bun src/bench/tcp-flow.ts serve PORT
 * bun src/bench/tcp-flow.ts load PORT KIND CONNECTIONS SECONDS
 *
 * Both ends of the TCP benchmark, as processes of their own. The first octet of a connection says
 * what is to happen: the server sends for ever, takes all, or says back what it hears. The client
 * prints how much that was.
 */
export type FlowKind = "down" | "up" | "echo" | "connect";

export interface FlowResult {
  /** Bytes of down and up; messages of echo; connections of connect. */
  readonly count: number;
  readonly seconds: number;
}

interface Flow {
  kind: string;
}

const BLOCK = new Uint8Array(262_144).fill(120);
const MESSAGE = new Uint8Array(100).fill(121);
const FIRST: Readonly<Record<FlowKind, string>> = { down: "d", up: "u", echo: "e", connect: "e" };

function pour(socket: Bun.Socket<Flow>): void {
  while (socket.write(BLOCK, 0, BLOCK.length) === BLOCK.length);
}

function serve(port: number): void {
  Bun.listen<Flow>({
    hostname: "127.0.0.1",
    port,
    socket: {
      binaryType: "uint8array",
      open(socket) {
        socket.data = { kind: "" };
      },
      data(socket, bytes) {
        const flow = socket.data;
        const isFirst = flow.kind === "";
        if (isFirst) flow.kind = String.fromCharCode(bytes[0]!);
        if (flow.kind === "d") pour(socket);
        else if (flow.kind === "e") {
          const from = isFirst ? 1 : 0;
          if (bytes.length > from) socket.write(bytes, from, bytes.length - from);
        }
      },
      drain(socket) {
        if (socket.data.kind === "d") pour(socket);
      },
    },
  });
}

class Load {
  count = 0;
  readonly #port: number;
  readonly #kind: FlowKind;
  #over = false;

  constructor(port: number, kind: FlowKind) {
    this.#port = port;
    this.#kind = kind;
  }

  async run(connections: number, seconds: number): Promise<FlowResult> {
    const open = Array.from({ length: connections }, () => this.#connect());
    await Promise.all(open);
    const start = performance.now();
    const before = this.count;
    await Bun.sleep(seconds * 1_000);
    this.#over = true;
    return { count: this.count - before, seconds: (performance.now() - start) / 1_000 };
  }

  async #connect(): Promise<void> {
    const kind = this.#kind;
    let received = 0;
    await Bun.connect<undefined>({
      hostname: "127.0.0.1",
      port: this.#port,
      socket: {
        binaryType: "uint8array",
        open: (socket) => {
          socket.write(FIRST[kind]);
          if (kind === "up") this.#push(socket);
          else if (kind !== "down") socket.write(MESSAGE, 0, MESSAGE.length);
        },
        data: (socket, bytes) => {
          if (kind === "down") this.count += bytes.length;
          received += bytes.length;
          if (kind === "down" || received < MESSAGE.length) return;
          received = 0;
          this.count++;
          if (kind === "connect") socket.end();
          else socket.write(MESSAGE, 0, MESSAGE.length);
        },
        drain: (socket) => {
          if (kind === "up") this.#push(socket);
        },
        close: () => {
          if (kind === "connect" && !this.#over) void this.#connect();
        },
      },
    });
  }

  #push(socket: Bun.Socket<undefined>): void {
    for (;;) {
      const taken = socket.write(BLOCK, 0, BLOCK.length);
      if (taken > 0) this.count += taken;
      if (taken < BLOCK.length) return;
    }
  }
}

const [role, port = "0", kind = "", connections = "1", seconds = "1"] = process.argv.slice(2);
if (role === "serve") serve(Number(port));
else if (role === "load") {
  const load = new Load(Number(port), kind as FlowKind);
  console.log(JSON.stringify(await load.run(Number(connections), Number(seconds))));
  process.exit(0);
}
