/**
 * Turns accepted TCP connections into TLS ones, by what their first bytes say; on a port that takes
 * both, others go on as plaintext (PERMISSIVE).
 *
 *   accepted ─▶ hello ─▶ handshake ─▶ the owner's `open`, with facts
 *                 │          └──────▶ refused
 *                 ├─ no TLS, or silence on a port that takes plaintext ─▶ `open`, without
 *                 └─ malformed, too slow, too many, an unknown name ────▶ refused
 *
 * The ClientHello is read here, so that its name chooses the certificate, and handed to the
 * library afterwards. Until `open` a connection is counted here, under a limit.
 */

import { type ClientHello, ClientHelloReader, type HelloProgress } from "./client-hello.ts";
import type { SocketHandlers, TcpSocket } from "./socket.ts";
import type { SocketAddress } from "./socket-address.ts";
import { freeSpent } from "./spent-bytes.ts";
import type { TimerWheel } from "./timer-wheel.ts";
import { readTlsFacts, type TlsFacts } from "./tls-facts.ts";
import { codeOf, type TlsFault, tlsDetailOf, tlsFaultOf } from "./tls-fault.ts";
import {
  acceptUpgrade,
  Handshake,
  type TlsHandlers,
  type TlsSocket,
  tlsHandlers,
} from "./tls-handshake.ts";
import type { ServerTls } from "./tls-settings.ts";

/** A connection whose ClientHello is there, and that no one has answered yet. */
export interface Unanswered {
  readonly socket: TcpSocket<unknown>;
  readonly hello: ClientHello;
  /** All that has come; the owner's to keep. */
  readonly received: Uint8Array;
  readonly source: SocketAddress | undefined;
}

/** How one connection is taken, where that differs from one to the next. */
export interface Greeting {
  /** "only": no TLS ends here, so nothing is waited for. */
  readonly plaintext: "accept" | "refuse" | "only";
  readonly sniffTimeoutMs: number;
}

export interface AcceptHandlers<C> extends SocketHandlers<C> {
  /**
   * Where TLS may end elsewhere. "taken": `socket.data` is its owner's, who gets the events from
   * now on; "unknown": it should, and nobody is there; undefined: it ends here.
   */
  pass?(connection: Unanswered): "taken" | "unknown" | undefined;
  /** Instead of `open`, just before the connection is closed; for the log and a counter. */
  refused(socket: TcpSocket<unknown>, fault: TlsFault, detail: string): void;
  /** For the connection just accepted; as the options say unless told. */
  greet?(socket: TcpSocket<unknown>): Greeting;
  /** Of a peer that has passed so far; undefined: nothing speaks against it. */
  judge?(facts: TlsFacts): TlsFault | undefined;
}

export interface TlsAcceptorOptions {
  readonly tls: ServerTls;
  readonly timers: TimerWheel;
  /** What begins otherwise than TLS is plaintext: "accept" it, or "refuse" it unless told. */
  readonly plaintext?: "accept" | "refuse";
  /** Where plaintext is accepted: after this long without a byte the server speaks first. */
  readonly sniffTimeoutMs?: number;
  /** From accept, or from the first byte where plaintext is accepted; 10,000 unless told. */
  readonly handshakeTimeoutMs?: number;
  /** Connections that are no owner's yet, after which the oldest goes; 1,000 unless told. */
  readonly handshakesMax?: number;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const SNIFF_TIMEOUT_MS = 5_000;
const HANDSHAKES_MAX = 1_000;

/** Alerts that we send ourselves, before the library has the connection (RFC 8446 6.2). */
const ALERTS: Partial<Record<TlsFault, number>> = {
  "malformed-hello": 50,
  "hello-too-long": 50,
  "no-certificate": 80,
  "unknown-server-name": 112,
};

export class TlsAcceptor<C> {
  /** For listenTcp. */
  readonly socketHandlers: SocketHandlers<Incoming<C> | C>;
  readonly tls: ServerTls;
  readonly handlers: AcceptHandlers<C>;
  readonly nativeHandlers: TlsHandlers;
  readonly timers: TimerWheel;
  readonly handshakeTimeoutMs: number;
  readonly #greeting: Greeting;
  readonly #handshakesMax: number;
  /** From the oldest on. */
  readonly #handshakes = new Set<Incoming<C>>();

  constructor(options: TlsAcceptorOptions, handlers: AcceptHandlers<C>) {
    this.tls = options.tls;
    this.timers = options.timers;
    this.handlers = handlers;
    this.nativeHandlers = tlsHandlers(handlers);
    const { plaintext = "refuse", sniffTimeoutMs = SNIFF_TIMEOUT_MS } = options;
    this.#greeting = { plaintext, sniffTimeoutMs };
    this.handshakeTimeoutMs = options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    this.#handshakesMax = options.handshakesMax ?? HANDSHAKES_MAX;
    this.socketHandlers = acceptedHandlers(this);
  }

  /** Connections that are no owner's yet. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  /** `source`: as `open` of its handlers is told. */
  accepted(socket: TcpSocket<Incoming<C> | C>, source?: SocketAddress): void {
    const greeting = this.handlers.greet?.(socket) ?? this.#greeting;
    if (greeting.plaintext === "only")
      return this.handlers.open(socket as TcpSocket<C>, undefined, source);
    // Who is in the way longest is the least likely to come to anything.
    if (this.#handshakes.size >= this.#handshakesMax)
      for (const oldest of this.#handshakes) {
        oldest.makeWay();
        break;
      }
    const incoming = new Incoming(this, greeting, source);
    this.#handshakes.add(incoming);
    socket.data = incoming;
    incoming.begin(socket);
  }

  /** For Incoming: it has become a connection, or nothing. */
  settled(incoming: Incoming<C>): void {
    this.#handshakes.delete(incoming);
  }
}

/** A connection that is no owner's yet; afterwards it is what the raw socket's events come to. */
class Incoming<C> extends Handshake {
  readonly #acceptor: TlsAcceptor<C>;
  readonly #greeting: Greeting;
  readonly #source: SocketAddress | undefined;
  #reader: ClientHelloReader | undefined = undefined;
  /** The TCP socket, then the TLS socket. */
  #socket: TcpSocket<unknown> | undefined = undefined;
  #hello: ClientHello | undefined = undefined;
  #at: "new" | "hello" | "passing" | "handshake" | "over" = "new";

  constructor(acceptor: TlsAcceptor<C>, greeting: Greeting, source?: SocketAddress) {
    super();
    this.#acceptor = acceptor;
    this.#greeting = greeting;
    this.#source = source;
  }

  begin(socket: TcpSocket<unknown>): void {
    this.#at = "hello";
    this.#socket = socket;
    this.#reader = new ClientHelloReader();
    const { timers, handshakeTimeoutMs } = this.#acceptor;
    timers.arm(this, this.#takesPlaintext ? this.#greeting.sniffTimeoutMs : handshakeTimeoutMs);
  }

  /** Bytes on the raw socket: of the hello, later ciphertext that is the library's. */
  received(bytes: Uint8Array): void {
    const reader = this.#reader;
    if (this.#at !== "hello" || reader === undefined) return freeSpent(bytes);
    const acceptor = this.#acceptor;
    if (reader.bytes.length === 0 && this.#takesPlaintext)
      acceptor.timers.arm(this, acceptor.handshakeTimeoutMs);
    this.#decide(reader.push(bytes), reader);
  }

  #decide(progress: HelloProgress, reader: ClientHelloReader): void {
    switch (progress) {
      case "reading":
        return;
      case "complete":
        return this.#upgrade(reader.hello!, reader.bytes);
      case "not-tls":
        if (this.#takesPlaintext) return this.#becomePlain(reader.bytes);
        return this.#refuse("not-tls", "");
      case "malformed":
        return this.#refuse("malformed-hello", "");
      case "too-long":
        return this.#refuse("hello-too-long", "");
      default:
        return progress satisfies never;
    }
  }

  #upgrade(hello: ClientHello, received: Uint8Array): void {
    const { tls, nativeHandlers } = this.#acceptor;
    this.#hello = hello;
    const passed = this.#pass(hello, received);
    if (passed === "taken") return this.#settle();
    if (passed === "unknown") return this.#refuse("unknown-server-name", hello.serverName);
    this.#reader = undefined;
    const certificate = tls.choose(hello.serverName);
    if (certificate === undefined) {
      if (tls.certificates.default === undefined) return this.#refuse("no-certificate", "");
      return this.#refuse("unknown-server-name", hello.serverName);
    }
    const native = tls.nativeFor(certificate);
    if (native === undefined) return this.#refuse("no-certificate", "no roots for clients");
    this.#at = "handshake";
    try {
      const upgrade = { handshake: this, native, handlers: nativeHandlers };
      this.#socket = acceptUpgrade(this.#socket!, upgrade, received);
    } catch (error) {
      this.#at = "hello";
      this.#refuse("no-certificate", error instanceof Error ? error.message : String(error));
    }
  }

  #pass(hello: ClientHello, received: Uint8Array): "taken" | "unknown" | undefined {
    const socket = this.#socket!;
    // Whoever takes it may end it at once, which is no failure of a handshake.
    this.#at = "passing";
    const { handlers } = this.#acceptor;
    const passed = handlers.pass?.({ socket, hello, received, source: this.#source });
    this.#at = "hello";
    return passed;
  }

  override handshakeFailed(error: Error | undefined): void {
    this.#fail(tlsFaultOf(error), tlsDetailOf(error));
  }

  override handshaken(socket: TlsSocket<unknown>, verdict: Error | undefined): void {
    if (this.#at !== "handshake") return;
    this.#socket = socket;
    const { tls, handlers } = this.#acceptor;
    const mode = tls.clientCertificate;
    const facts = readTlsFacts(socket, this.#hello!.serverName, codeOf(verdict));
    if (mode === "required" && facts.peer === undefined)
      return this.#refuse("certificate-required", "");
    if (mode !== "reported" && facts.peer?.verified === false)
      return this.#refuse("certificate-refused", facts.peer.verdict);
    const fault = handlers.judge?.(facts);
    if (fault !== undefined) return this.#refuse(fault, nameOf(facts));
    this.#settle();
    socket.data = undefined;
    handlers.open(socket as TcpSocket<C>, facts, this.#source);
  }

  override closed(error: Error | undefined): void {
    // A connection that says nothing and goes is somebody's health check.
    if (this.#at === "hello" && this.#reader?.bytes.length === 0) this.#settle();
    else this.#fail("closed-by-peer", codeOf(error));
  }

  /** FIN on the raw socket. */
  rawEnded(): void {
    if (this.#at !== "hello") return;
    this.closed(undefined);
    this.#socket!.end();
  }

  /** Of an upgraded connection the TLS socket's `close` tells. */
  rawClosed(error: Error | undefined): void {
    if (this.#at === "hello") this.closed(error);
  }

  override expire(): void {
    this.#giveUp("handshake-timeout");
  }

  /** There are too many, and this one has been there longest. */
  makeWay(): void {
    this.#giveUp("too-many-handshakes");
  }

  get #takesPlaintext(): boolean {
    return this.#greeting.plaintext === "accept";
  }

  /** Who has not said anything may be waiting for the server to speak. */
  #giveUp(fault: TlsFault): void {
    if (this.#at === "hello" && this.#takesPlaintext && this.#reader?.bytes.length === 0)
      return this.#becomePlain(undefined);
    this.#fail(fault, "");
    this.#socket!.terminate();
  }

  #becomePlain(received: Uint8Array | undefined): void {
    const socket = this.#socket as TcpSocket<C | undefined>;
    const { handlers } = this.#acceptor;
    // What was said when it came may hold no more.
    if (handlers.greet?.(socket).plaintext === "refuse") return this.#refuse("not-tls", "");
    this.#settle();
    socket.data = undefined;
    handlers.open(socket as TcpSocket<C>, undefined, this.#source);
    if (received !== undefined && socket.fd !== -1) handlers.data(socket as TcpSocket<C>, received);
  }

  /** Says why, to the peer as far as possible, and closes. */
  #refuse(fault: TlsFault, detail: string): void {
    const isPlain = this.#at === "hello";
    const socket = this.#socket!;
    this.#fail(fault, detail);
    const alert = isPlain ? ALERTS[fault] : undefined;
    if (alert !== undefined) {
      const record = Uint8Array.of(21, 3, 3, 0, 2, 2, alert);
      socket.write(record, 0, record.length);
    }
    socket.end();
  }

  #fail(fault: TlsFault, detail: string): void {
    if (this.#at === "over") return;
    this.#settle();
    this.#acceptor.handlers.refused(this.#socket!, fault, detail);
  }

  #settle(): void {
    if (this.#at === "over") return;
    this.#at = "over";
    this.#reader = undefined;
    this.#acceptor.timers.release(this);
    this.#acceptor.settled(this);
  }
}

/** Of a peer whose certificate is in order. */
function nameOf({ peer }: TlsFacts): string {
  return peer?.names.uris.join(", ") || peer?.subject || "";
}

/** Events of the TCP socket: of plaintext connections they are the owner's. */
function acceptedHandlers<C>(acceptor: TlsAcceptor<C>): SocketHandlers<Incoming<C> | C> {
  const { data, drain, end, close } = acceptor.handlers;
  return {
    open(socket, _tls, source) {
      acceptor.accepted(socket, source);
    },
    data(socket, bytes) {
      if (socket.data instanceof Incoming) socket.data.received(bytes);
      else data(socket as TcpSocket<C>, bytes);
    },
    drain(socket) {
      if (!(socket.data instanceof Incoming)) drain(socket as TcpSocket<C>);
    },
    end(socket) {
      if (socket.data instanceof Incoming) socket.data.rawEnded();
      else end(socket as TcpSocket<C>);
    },
    close(socket, error) {
      if (socket.data instanceof Incoming) socket.data.rawClosed(error);
      else close(socket as TcpSocket<C>, error);
    },
  };
}
