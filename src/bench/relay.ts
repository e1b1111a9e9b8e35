/**
 * bun src/bench/relay.ts PORT UPSTREAM_PORT
 *
 * The floor of every proxy on Bun's sockets: two receives and two sends for each request, one
 * upstream connection for each downstream, and nothing else. It knows no HTTP, has no limits, and
 * is here to be measured beside the proxies, never to be run otherwise.
 */
import type { Socket } from "bun";

class Pair {
  readonly downstream: Socket<Pair>;
  upstream: Socket<Pair> | undefined = undefined;
  /** What came before the upstream connection stood. */
  early: Uint8Array[] = [];

  constructor(downstream: Socket<Pair>) {
    this.downstream = downstream;
  }

  opened(upstream: Socket<Pair>): void {
    this.upstream = upstream;
    for (const bytes of this.early) upstream.write(bytes, 0, bytes.length);
    this.early = [];
  }
}

const [port, upstreamPort] = process.argv.slice(2).map(Number);
if (!port || !upstreamPort) {
  console.error("usage: bun src/bench/relay.ts PORT UPSTREAM_PORT");
  process.exit(2);
}

const upstreamHandlers = {
  binaryType: "uint8array",
  open(socket: Socket<Pair>) {
    socket.data.opened(socket);
  },
  data(socket: Socket<Pair>, bytes: Uint8Array) {
    socket.data.downstream.write(bytes, 0, bytes.length);
  },
  close(socket: Socket<Pair>) {
    socket.data.downstream.end();
  },
} as const;

Bun.listen<Pair>({
  hostname: "127.0.0.1",
  port,
  socket: {
    binaryType: "uint8array",
    open(socket) {
      socket.data = new Pair(socket);
      void Bun.connect<Pair>({
        hostname: "127.0.0.1",
        port: upstreamPort,
        data: socket.data,
        socket: upstreamHandlers,
      }).catch(() => socket.terminate());
    },
    data(socket, bytes) {
      const { upstream, early } = socket.data;
      if (upstream === undefined) early.push(bytes);
      else upstream.write(bytes, 0, bytes.length);
    },
    close(socket) {
      socket.data.upstream?.end();
    },
  },
});
