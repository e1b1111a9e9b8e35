/**
 * The server of the TLS benchmark, run as a process of its own: `bun tls-server.ts KIND`, with
 * certificates as JSON on its input. Answers each small read like a web server, swallows large
 * ones. Prints its port.
 *
 *   plain   TCP          tls, mtls, tls1.2   our acceptor          native   TLS of Bun.listen
 */
import { systemClock } from "../core/clock.ts";
import { CertificateStore } from "../io/certificate-store.ts";
import type { SocketHandlers, TcpSocket } from "../io/socket.ts";
import { freeSpent } from "../io/spent-bytes.ts";
import { bunHandlers, listenTcp } from "../io/tcp-listener.ts";
import { TimerWheel } from "../io/timer-wheel.ts";
import { TlsAcceptor } from "../io/tls-acceptor.ts";
import { ServerTls } from "../io/tls-settings.ts";

const ANSWER = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${"x".repeat(100)}`);

const handlers: SocketHandlers<undefined> = {
  open() {},
  data(socket: TcpSocket<undefined>, bytes) {
    if (bytes.length < 2_048) socket.write(ANSWER, 0, ANSWER.length);
    else freeSpent(bytes);
  },
  drain() {},
  end(socket) {
    socket.end();
  },
  close() {},
};

const kind = process.argv[2] ?? "";
const { chain, key, root } = await new Response(Bun.stdin.stream()).json();
const where = { hostname: "127.0.0.1", port: 0 };
console.log(listen());

function listen(): number {
  if (kind === "plain") return listenTcp(where, handlers).port;
  if (kind === "native") {
    const socket = { ...bunHandlers(handlers), handshake() {} };
    return Bun.listen({ ...where, tls: { key, cert: chain }, socket: socket as never }).port;
  }
  const certificates = new CertificateStore();
  const pair = { certificate: { file: "crt", text: chain }, key: { file: "key", text: key } };
  certificates.set(pair, systemClock.wallMs());
  const tls = new ServerTls({
    certificates,
    maximumVersion: kind === "tls1.2" ? "1.2" : "1.3",
    ...(kind === "mtls" && {
      clientCertificate: "required",
      clientRoots: { trust: { file: "ca", pem: root, count: 1 } },
    }),
  });
  const timers = new TimerWheel(systemClock);
  const acceptor = new TlsAcceptor<undefined>({ tls, timers }, { ...handlers, refused() {} });
  return listenTcp(where, acceptor.socketHandlers).port;
}
