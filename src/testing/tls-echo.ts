/**
 * A TLS port that echoes and writes down all that happens at it, and real peers for it: the openssl
 * command, and node:tls.
 */
import { type ConnectionOptions, connect as connectNodeTls, type TLSSocket } from "node:tls";
import { systemClock } from "../core/clock.ts";
import { parsePair } from "../io/certificate.ts";
import { CertificateStore } from "../io/certificate-store.ts";
import type { TcpSocket } from "../io/socket.ts";
import { listenTcp, type TcpListener } from "../io/tcp-listener.ts";
import { TimerWheel } from "../io/timer-wheel.ts";
import { type AcceptHandlers, TlsAcceptor, type TlsAcceptorOptions } from "../io/tls-acceptor.ts";
import type { TlsFacts } from "../io/tls-facts.ts";
import type { TlsFault } from "../io/tls-fault.ts";
import { ServerTls, type ServerTlsOptions } from "../io/tls-settings.ts";
import type { CertificateAuthority, Issued } from "./certificate-authority.ts";

/** One accepted connection. */
export class EchoConnection {
  readonly tls: TlsFacts | undefined;
  readonly socket: TcpSocket<EchoConnection>;
  received = 0;
  drains = 0;
  ended = false;
  closed = false;
  error: Error | undefined = undefined;

  constructor(socket: TcpSocket<EchoConnection>, tls: TlsFacts | undefined) {
    this.socket = socket;
    this.tls = tls;
  }
}

export interface EchoOptions {
  readonly tls?: Partial<ServerTlsOptions>;
  readonly acceptor?: Partial<TlsAcceptorOptions>;
  /** In place of echoing, of ending when the peer does, of nothing. */
  readonly handlers?: Partial<AcceptHandlers<EchoConnection>>;
}

export class TlsEcho {
  readonly store = new CertificateStore();
  readonly connections: EchoConnection[] = [];
  readonly refusals: (readonly [fault: TlsFault, detail: string])[] = [];
  readonly acceptor: TlsAcceptor<EchoConnection>;
  readonly listener: TcpListener;

  /** Shows `certificates`, the first by default. */
  constructor(certificates: readonly Issued[], options: EchoOptions = {}) {
    this.show(certificates);
    this.acceptor = new TlsAcceptor<EchoConnection>(
      {
        tls: new ServerTls({ certificates: this.store, ...options.tls }),
        timers: new TimerWheel(systemClock),
        ...options.acceptor,
      },
      { ...this.#handlers(), ...options.handlers },
    );
    this.listener = listenTcp({ hostname: "127.0.0.1", port: 0 }, this.acceptor.socketHandlers);
  }

  get port(): number {
    return this.listener.port;
  }

  /** The connection accepted last. */
  get last(): EchoConnection | undefined {
    return this.connections.at(-1);
  }

  show(certificates: readonly Issued[]): void {
    this.store.publish(
      certificates.map(({ chain, key }) => {
        const pair = { certificate: { file: "crt", text: chain }, key: { file: "key", text: key } };
        const { value, problems } = parsePair(pair, systemClock.wallMs());
        if (value === undefined) throw new Error(JSON.stringify(problems));
        return value;
      }),
    );
  }

  stop(): void {
    this.listener.stop();
    for (const { socket } of this.connections) socket.terminate();
  }

  #handlers(): AcceptHandlers<EchoConnection> {
    return {
      open: (socket, tls) => {
        socket.data = new EchoConnection(socket, tls);
        this.connections.push(socket.data);
      },
      data: (socket, bytes) => {
        socket.data.received += bytes.length;
        socket.write(bytes, 0, bytes.length);
      },
      drain: (socket) => {
        socket.data.drains++;
      },
      end: (socket) => {
        socket.data.ended = true;
        socket.end();
      },
      close: (socket, error) => {
        socket.data.closed = true;
        socket.data.error = error;
      },
      refused: (_socket, fault, detail) => {
        this.refusals.push([fault, detail]);
      },
    };
  }
}

/** Looks once a millisecond; for events that nobody tells. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const giveUpAt = systemClock.nowMs() + 10_000;
  while (!(await holds())) {
    if (systemClock.nowMs() > giveUpAt) throw new Error(`waited 10 s for ${what}`);
    await Bun.sleep(1);
  }
}

/** A trust source for `authority`. */
export function trusting(...authorities: readonly CertificateAuthority[]) {
  const pem = authorities.map(({ certificate }) => certificate).join("");
  return { trust: { file: "ca.pem", pem, count: authorities.length } };
}

/** Undefined: refused, which `error` tells. */
export interface NodeTlsPeer {
  readonly socket: TLSSocket;
  readonly error: Error | undefined;
  readonly received: () => string;
}

/** Connects; resolves when the handshake is done or has failed, as this side sees it. */
export function nodeTls(port: number, options: ConnectionOptions = {}): Promise<NodeTlsPeer> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connectNodeTls({
      host: "127.0.0.1",
      port,
      rejectUnauthorized: false,
      ...options,
    });
    const received = (): string => text;
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
    });
    socket.on("secureConnect", () => resolve({ socket, error: undefined, received }));
    socket.on("error", (error: Error) => resolve({ socket, error, received }));
    socket.on("close", () => resolve({ socket, error: new Error("closed"), received }));
  });
}

/** For test.skipIf: a machine without openssl skips what needs it, but CI fails. */
export const lacksOpenssl = Bun.which("openssl") === null && process.env.CI !== "true";

/**
 * Runs `openssl s_client`, types `input` and reads until `expected` is there or the peer has
 * closed. Returns all it printed.
 */
export async function opensslClient(
  port: number,
  flags: readonly string[],
  { input = "hello\n", expected = "hello" }: { input?: string; expected?: string } = {},
): Promise<string> {
  const command = ["openssl", "s_client", "-connect", `127.0.0.1:${port}`, ...flags];
  const run = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  const giveUp = setTimeout(() => run.kill(), 10_000);
  const errors = new Response(run.stderr).text();
  run.stdin.write(input);
  run.stdin.flush();
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of run.stdout) {
    text += decoder.decode(bytes);
    // What was typed is printed by nobody but the server.
    if (text.includes(`\n${expected}`)) break;
  }
  run.stdin.end();
  await run.exited;
  clearTimeout(giveUp);
  return text + (await errors);
}
