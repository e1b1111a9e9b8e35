/**
 * An accepted connection of which it is not known yet what it speaks: keeps its first bytes, tells
 * once what they are, and is then replaced as `socket.data` by who understands them.
 *
 *   waiting ──bytes, time, FIN──▶ decided (once)
 *      └─── gone, or a bad PROXY header ──▶ closed
 */
import type { TcpSocket } from "../../io/socket.ts";
import { Timer, type TimerWheel } from "../../io/timer-wheel.ts";
import { decodeProxyHeader, mayBeProxyHeader, type ProxyHeader } from "./proxy-protocol.ts";
import { type Declared, HELLO_MS, knownBefore, SNIFF_MS, type Sniffed, sniff } from "./sniff.ts";

/** Reads a ClientHello as it comes; io/client-hello.ts has one. */
export interface HelloReader {
  /** All but "reading" are final. */
  push(bytes: Uint8Array): "reading" | "complete" | "not-tls" | "malformed" | "too-long";
  /** Once complete. */
  readonly hello:
    | { readonly serverName: string; readonly protocols: readonly string[] }
    | undefined;
}

export interface Detected {
  readonly speaks: Sniffed;
  /** Of a ClientHello; "" and none where there was none, or it named none. */
  readonly serverName: string;
  readonly protocols: readonly string[];
  /** What the load balancer in front said; undefined: nothing. */
  readonly proxied: ProxyHeader | undefined;
  /** Received, and to be used by who takes over; may be empty. */
  readonly bytes: Uint8Array;
}

export interface DetectionParts {
  readonly timers: TimerWheel;
  readonly declared: Declared;
  /** At which the client called. */
  readonly port: number;
  /** Whether a header of the PROXY protocol comes first; "required": nothing else may. */
  readonly proxyProtocol: "none" | "allowed" | "required";
  readonly timeoutMs?: number;
  readonly makeHelloReader: () => HelloReader;
  /** The socket is paused, for who takes over to resume. `ended`: FIN has come: to be told. */
  readonly decided: (socket: TcpSocket<unknown>, detected: Detected, ended: boolean) => void;
  /** The connection has ended without having said what it is, or with nonsense. */
  readonly gone: (detection: Detection) => void;
}

const NO_BYTES = new Uint8Array(0);

export class Detection extends Timer {
  readonly #parts: DetectionParts;
  #socket: TcpSocket<unknown> | undefined;
  #bytes: Uint8Array = NO_BYTES;
  #hello: HelloReader | undefined = undefined;
  #proxied: ProxyHeader | undefined = undefined;
  #expectsHeader: boolean;

  /** `socket.data` is the caller's to set; then begin(). */
  constructor(parts: DetectionParts, socket: TcpSocket<unknown>) {
    super();
    this.#parts = parts;
    this.#socket = socket;
    this.#expectsHeader = parts.proxyProtocol !== "none";
  }

  /** What is declared needs no bytes. */
  begin(): void {
    const { timers, declared, timeoutMs = SNIFF_MS } = this.#parts;
    timers.arm(this, declared === "tls" ? HELLO_MS : timeoutMs);
    this.#look(false);
  }

  data(bytes: Uint8Array): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    if (this.#hello === undefined) this.#look(false);
    else this.#readHello(bytes);
  }

  /** FIN: nothing more will come. A connection that said nothing is nobody's business. */
  ended(): void {
    if (this.#bytes.length > 0) return this.#look(true);
    this.#release()?.end();
    this.#parts.gone(this);
  }

  drained(): void {}

  closed(): void {
    if (this.#release() !== undefined) this.#parts.gone(this);
  }

  override expire(): void {
    if (this.#expectsHeader && this.#parts.proxyProtocol === "required") this.#refuse();
    else this.#decide("opaque", false);
  }

  #look(ended: boolean): void {
    if (!this.#expectsHeader) return this.#lookBehind(ended);
    if (this.#bytes.length === 0) return;
    if (mayBeProxyHeader(this.#bytes)) return this.#readHeader(ended);
    if (this.#parts.proxyProtocol === "required") return this.#refuse();
    this.#expectsHeader = false;
    this.#lookBehind(ended);
  }

  #readHeader(ended: boolean): void {
    const result = decodeProxyHeader(this.#bytes);
    if (result.at === "bad") return this.#refuse();
    if (result.at === "incomplete") {
      // What only looked like one, up to its end, is not one.
      if (ended && this.#parts.proxyProtocol === "required") this.#refuse();
      else if (ended) this.#decide("opaque", true);
      return;
    }
    this.#proxied = result.header;
    this.#bytes = this.#bytes.subarray(result.length);
    this.#expectsHeader = false;
    this.#lookBehind(ended);
  }

  #lookBehind(ended: boolean): void {
    const { timers, declared, port, makeHelloReader } = this.#parts;
    const speaks = knownBefore(declared, port) ?? sniff(this.#bytes);
    if (speaks === undefined) {
      if (ended) this.#decide("opaque", ended);
      return;
    }
    if (speaks !== "tls") return this.#decide(speaks, ended);
    this.#hello = makeHelloReader();
    timers.arm(this, HELLO_MS);
    this.#readHello(this.#bytes);
    if (ended && this.#socket !== undefined) this.#decide("opaque", ended);
  }

  #readHello(bytes: Uint8Array): void {
    switch (this.#hello!.push(bytes)) {
      case "reading":
        return;
      case "complete":
        return this.#decide("tls", false);
      case "not-tls":
      case "malformed":
      case "too-long":
        return this.#decide("opaque", false);
    }
  }

  #decide(speaks: Detected["speaks"], ended: boolean): void {
    const socket = this.#release();
    if (socket === undefined) return;
    const hello = this.#hello?.hello;
    socket.pause();
    const detected: Detected = {
      speaks,
      serverName: hello?.serverName ?? "",
      protocols: hello?.protocols ?? [],
      proxied: this.#proxied,
      bytes: this.#bytes,
    };
    this.#bytes = NO_BYTES;
    this.#parts.decided(socket, detected, ended);
  }

  #refuse(): void {
    this.#release()?.terminate();
    this.#parts.gone(this);
  }

  /** Undefined: it was released before. */
  #release(): TcpSocket<unknown> | undefined {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#parts.timers.release(this);
    return socket;
  }
}
