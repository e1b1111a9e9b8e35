/**
 * How a TLS socket of Bun becomes a TcpSocket like any other. While its handshake is going on,
 * `socket.data` is a Handshake; from then on it is the owner's connection, and the owner's
 * handlers see what they would see on plain TCP:
 *
 *   a close_notify, or a FIN without one ─▶ end        an alert, a record that was tampered with,
 *   shutdown() sends close_notify and FIN              a reset ─▶ close, with an error
 *
 * Bun keeps two sockets for one descriptor: the raw one goes on getting what arrives, encrypted,
 * for whoever listens to it. Nobody should.
 */
import type { SocketHandlers, TcpSocket } from "./socket.ts";
import { Timer } from "./timer-wheel.ts";
import type { NativeTlsSocket } from "./tls-facts.ts";
import { isOfConnection, isVerdict } from "./tls-fault.ts";
import type { NativeTls } from "./tls-settings.ts";

export type TlsSocket<C> = TcpSocket<C> & NativeTlsSocket & { disableRenegotiation(): void };

/** Has to set `socket.data` to the owner's connection when the handshake has become one. */
export abstract class Handshake extends Timer {
  /** `verdict` is what is wrong with the peer's certificate, or with there being none. */
  abstract handshaken(socket: TlsSocket<unknown>, verdict: Error | undefined): void;
  /** The alert is sent, and Bun closes. */
  abstract handshakeFailed(error: Error | undefined): void;
  abstract closed(error: Error | undefined): void;
}

/** What is left of a connection that the owner believes closed. */
class Gone extends Handshake {
  override expire(): void {}
  override handshaken(): void {}
  override handshakeFailed(): void {}
  override closed(): void {}
}

const gone = new Gone();

export type TlsHandlers = ReturnType<typeof tlsHandlers>;

/** Made once for each listener or connector, as bunHandlers. */
export function tlsHandlers<C>(handlers: SocketHandlers<C>) {
  const { data, drain, end, close } = handlers;
  return {
    binaryType: "uint8array",
    open(): void {},
    handshake(socket: TlsSocket<C | Handshake>, ok: boolean, error: Error | null): void {
      const { data: handshake } = socket;
      if (!(handshake instanceof Handshake)) return;
      if (ok || (error !== null && isVerdict(error)))
        handshake.handshaken(socket, error ?? undefined);
      else handshake.handshakeFailed(error ?? undefined);
    },
    data(socket: TcpSocket<C | Handshake>, bytes: Uint8Array): void {
      if (!(socket.data instanceof Handshake)) data(socket as TcpSocket<C>, bytes);
    },
    drain(socket: TcpSocket<C | Handshake>): void {
      if (!(socket.data instanceof Handshake)) drain(socket as TcpSocket<C>);
    },
    end(socket: TcpSocket<C | Handshake>): void {
      if (!(socket.data instanceof Handshake)) end(socket as TcpSocket<C>);
    },
    close(socket: TcpSocket<C | Handshake>, error?: Error): void {
      if (socket.data instanceof Handshake) socket.data.closed(error);
      else close(socket as TcpSocket<C>, error);
    },
    /** Bun reports here what a handler threw, and what ended a session; `close` would hide it. */
    error(socket: TcpSocket<C | Handshake>, error: Error): void {
      if (!isOfConnection(error)) throw error;
      const connection = socket.data;
      if (connection instanceof Handshake) return;
      socket.data = gone;
      socket.terminate();
      socket.data = connection;
      close(socket as TcpSocket<C>, error);
      socket.data = gone;
    },
  } as const;
}

/** What Bun's types leave out, or have otherwise. */
interface Upgradable {
  upgradeTLS(options: {
    readonly data: Handshake;
    readonly tls: NativeTls;
    readonly socket: TlsHandlers;
    /** What was read of the peer's bytes already. */
    readonly initialData?: Uint8Array;
  }): readonly [raw: RawSocket, tls: TlsSocket<unknown>];
}

interface RawSocket {
  reload(options: { readonly socket: { drain(): void } }): void;
}

export interface Upgrade {
  readonly handshake: Handshake;
  readonly native: NativeTls;
  readonly handlers: TlsHandlers;
}

/**
 * Begins a handshake as server; `received` is the client's first flight. What the client sent may
 * already be the end of it: look at the handshake's state afterwards. Throws what the library has
 * against the certificate.
 */
export function acceptUpgrade(
  socket: TcpSocket<unknown>,
  { handshake, native, handlers }: Upgrade,
  received: Uint8Array,
): TlsSocket<unknown> {
  const options = { data: handshake, tls: native, socket: handlers, initialData: received };
  return (socket as unknown as Upgradable).upgradeTLS(options)[1];
}

/** Begins a handshake as client, on a socket of Bun.connect. Throws as acceptUpgrade. */
export function connectUpgrade(
  socket: TcpSocket<unknown>,
  { handshake, native, handlers }: Upgrade,
): TlsSocket<unknown> {
  const options = { data: handshake, tls: native, socket: handlers };
  const [raw, tls] = (socket as unknown as Upgradable).upgradeTLS(options);
  // Nobody listens to the raw socket any more: what arrives is not copied for it. For an accepted
  // socket this would silence its whole listener, since accepted sockets share their handlers.
  raw.reload({ socket: silent });
  tls.disableRenegotiation();
  return tls;
}

const silent = { drain(): void {} } as const;
