/**
 * Lines on their way to a daemon that listens for datagrams: as many in one as fit, sent when it is
 * full or old enough. Nobody waits; what cannot be sent is counted. While the daemon's address is
 * looked up, a few datagrams are kept.
 */
import type { Clock } from "../core/clock.ts";
import { isIP } from "../http/ip-literal.ts";
import { type ConnectedUdpSocket, connectUdp } from "../io/udp.ts";
import type { Counter } from "../telemetry/metrics.ts";
import type { HostPort } from "./host-port.ts";

export interface UdpLinesOptions {
  readonly to: HostPort;
  /** Of one datagram. */
  readonly bytesMax: number;
  readonly flushMs: number;
  readonly clock: Clock;
  /** Lines that were not sent. */
  readonly lost: Counter;
}

/** Between two attempts to reach the daemon. */
const RETRY_MS = 5_000;
const KEPT_MAX = 64;

interface Datagram {
  readonly bytes: Buffer;
  readonly lines: number;
}

export class UdpLines {
  readonly #options: UdpLinesOptions;
  #socket: ConnectedUdpSocket | undefined;
  #opening = false;
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #lines: string[] = [];
  #bytes = 0;
  #cancelFlush: (() => void) | undefined;
  #closed = false;
  /** Until there is a socket. */
  #kept: Datagram[] = [];

  constructor(options: UdpLinesOptions) {
    this.#options = options;
    void this.#open();
  }

  /** Without an end of line. */
  write(line: string): void {
    const length = Buffer.byteLength(line);
    const { bytesMax, clock, flushMs, lost } = this.#options;
    if (this.#closed || length > bytesMax) return lost.increment();
    if (this.#bytes + length + 1 > bytesMax) this.#flush();
    this.#lines.push(line);
    this.#bytes += length + 1;
    this.#cancelFlush ??= clock.after(flushMs, () => this.#flush());
  }

  close(): void {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    this.#socket?.close();
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#lines.length === 0) return;
    const datagram = { bytes: Buffer.from(this.#lines.join("\n")), lines: this.#lines.length };
    this.#lines = [];
    this.#bytes = 0;
    if (this.#socket === undefined) void this.#open();
    if (this.#opening && this.#kept.length < KEPT_MAX) this.#kept.push(datagram);
    else this.#send(datagram);
  }

  #send({ bytes, lines }: Datagram): void {
    if (this.#socket?.send(bytes) !== true) this.#options.lost.add(lines);
  }

  async #open(): Promise<void> {
    const { clock, to } = this.#options;
    if (this.#opening || clock.nowMs() < this.#retryAtMs) return;
    this.#opening = true;
    this.#retryAtMs = clock.nowMs() + RETRY_MS;
    const address = await resolve(to.host);
    const peer = address === undefined ? undefined : { address, port: to.port };
    const socket = peer && (await connectUdp(peer, ignore, ignore));
    this.#opening = false;
    this.#socket = socket;
    for (const datagram of this.#kept.splice(0)) this.#send(datagram);
    if (this.#closed) socket?.close();
  }
}

function ignore(): void {}

async function resolve(host: string): Promise<string | undefined> {
  if (isIP(host)) return host;
  try {
    const [first] = await Bun.dns.lookup(host);
    return first?.address;
  } catch {
    return undefined;
  }
}
