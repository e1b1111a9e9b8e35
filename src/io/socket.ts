/**
 * The narrow waist between the data plane and the kernel. A Bun socket satisfies TcpSocket as it
 * is, so nothing wraps it: `socket.data` is the owner's own connection object, and Bun calls the
 * owner's handlers directly. A TLS connection is one of these too (tls-handshake.ts): who uses it
 * need not know.
 *
 * Handlers are one object of static functions, made once for each listener or connector. No handler
 * may throw because of what a peer did; what they throw is our own mistake and ends the process.
 */
import type { SocketAddress } from "./socket-address.ts";
import type { TlsFacts } from "./tls-facts.ts";

export interface TcpSocket<C> {
  /** The owner's connection; set it in `open` of a listener's handlers. */
  data: C;
  /** −1 once closed. */
  readonly fd: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /**
   * Returns how many bytes the kernel took: 0 when it is full (`drain` follows), −1 when the
   * socket is closed. The bytes are free for reuse on return. Bun throws on two arguments.
   */
  write(bytes: Uint8Array, offset: number, length: number): number;
  /** Stops `data`, and `end` with it, until resume; allowed in `open`. */
  pause(): void;
  resume(): void;
  /** Sends FIN and goes on receiving: half close. With TLS, close_notify before it. */
  shutdown(): void;
  /** Closes both ways after what the kernel holds; drain a SendBuffer first. */
  end(): void;
  /** Closes at once with RST. */
  terminate(): void;
}

/** `bytes` are the receiver's to keep: Bun does not reuse them. At most 512 KiB a call. */
export interface SocketHandlers<C> {
  /**
   * `tls` where the connection is one of TLS, whose handshake is done by now; `source`: who called,
   * where the socket does not tell, since a load balancer is in between.
   */
  open(socket: TcpSocket<C>, tls?: TlsFacts, source?: SocketAddress): void;
  data(socket: TcpSocket<C>, bytes: Uint8Array): void;
  /** The kernel has room again after a short write. */
  drain(socket: TcpSocket<C>): void;
  /** The peer sent FIN; we may still write. */
  end(socket: TcpSocket<C>): void;
  /**
   * Last of all; `error` when the peer reset, or broke TLS. `socket.write` returns −1 from now on.
   */
  close(socket: TcpSocket<C>, error?: Error): void;
}
