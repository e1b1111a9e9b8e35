/**
 * The resolver of a captured application: names of the mesh are answered here, the rest is
 * forwarded. UDP and TCP on one port.
 *
 *   application :53 ─▶ capture ─▶ here ─┬─ NameTable ─▶ answer
 *                                      └─ Forwarder ─▶ resolvers of the machine
 */
import type { Clock } from "../../core/clock.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import { TcpConnector } from "../../io/tcp-connector.ts";
import { ListenError, listenTcp, type TcpListener } from "../../io/tcp-listener.ts";
import { TimerWheel } from "../../io/timer-wheel.ts";
import { bindUdp, type UdpSocket } from "../../io/udp.ts";
import type { Counter, Metrics } from "../../telemetry/metrics.ts";
import type { HostPort } from "../flags.ts";
import { type DnsStream, type DnsStreamOwner, dnsStreamHandlers } from "./dns-stream.ts";
import { encodeAnswer, encodeRefusal } from "./encode-answer.ts";
import { Forwarder } from "./forwarder.ts";
import { decodeQuery, type Query } from "./message.ts";
import type { NameAddresses, NameTable } from "./name-table.ts";
import { streamQuestionHandlers } from "./stream-question.ts";
import { CLASS_IN, RecordType, ResponseCode } from "./wire.ts";

export interface DnsServerOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Those that are ours must not be among them. */
  readonly resolvers: () => readonly SocketAddress[];
  readonly names: NameTable;
}

/** How long an application may remember an address, or that there is none. */
const TTL_SECONDS = 30;
const STREAM_BYTES_MAX = 65_535;
const BIND_TRIES = 8;

export class DnsServer {
  /** What the mesh answers; replaced when a configuration is published. */
  names: NameTable;
  readonly #forwarder: Forwarder;
  readonly #streams: DnsStreamOwner;
  readonly #requests: Counter;
  readonly #forwarded: Counter;
  readonly #failures: Counter;
  readonly #sockets: { readonly udp: UdpSocket; readonly tcp: TcpListener }[] = [];

  constructor({ clock, metrics, resolvers, names }: DnsServerOptions) {
    this.names = names;
    const timers = new TimerWheel(clock);
    const connector = new TcpConnector(streamQuestionHandlers, timers);
    this.#forwarder = new Forwarder({ clock, resolvers, connector });
    this.#streams = {
      timers,
      streams: new Set(),
      answer: (message, onAnswer) => this.#answer(message, "tcp", onAnswer),
    };
    this.#requests = metrics.counter("dns_requests_total", "DNS questions of applications.");
    this.#forwarded = metrics.counter(
      "dns_upstream_requests_total",
      "DNS questions that the mesh does not answer itself.",
    );
    this.#failures = metrics.counter(
      "dns_upstream_failures_total",
      "DNS questions that no resolver answered.",
    );
  }

  /** At a further address each time. Throws ListenError. Port 0: one free for UDP and TCP. */
  async listen({ hostname, port }: HostPort): Promise<void> {
    for (let tries = 1; ; tries++) {
      const udp = await bindUdp({ hostname, port }, (bytes, address, peerPort) =>
        this.#answer(bytes, "udp", (answer) => udp.send(answer, address, peerPort)),
      );
      try {
        const handlers = dnsStreamHandlers(this.#streams);
        const tcp = listenTcp<DnsStream>({ hostname, port: udp.port }, handlers);
        this.#sockets.push({ udp, tcp });
        return;
      } catch (error) {
        udp.close();
        const mayRetry = port === 0 && tries < BIND_TRIES && error instanceof ListenError;
        if (!mayRetry) throw error;
      }
    }
  }

  /** The first one bound; 0 before listen. */
  get port(): number {
    return this.#sockets[0]?.udp.port ?? 0;
  }

  close(): void {
    for (const { udp, tcp } of this.#sockets.splice(0)) {
      udp.close();
      tcp.stop();
    }
    for (const stream of this.#streams.streams) stream.close();
    this.#forwarder.close();
  }

  #answer(bytes: Uint8Array, by: "udp" | "tcp", onAnswer: (answer: Uint8Array) => void): void {
    const decoded = decodeQuery(bytes);
    if (decoded.at === "ignored") return;
    this.#requests.increment();
    if (decoded.at === "refused") return onAnswer(encodeRefusal(bytes, decoded.code));
    const { query } = decoded;
    const bytesMax = by === "udp" ? query.payloadMax : STREAM_BYTES_MAX;
    const found = query.class === CLASS_IN ? this.names.find(query.name) : undefined;
    if (found !== undefined) {
      const addresses = addressesFor(query, found);
      const answer = { code: ResponseCode.noError, addresses, ttlSeconds: TTL_SECONDS };
      return onAnswer(encodeAnswer(bytes, query, answer, bytesMax));
    }
    this.#forwarded.increment();
    this.#forwarder.ask({ bytes, questionEnd: query.questionEnd, by }, (received) => {
      if (received !== undefined) return onAnswer(received);
      this.#failures.increment();
      const failure = { code: ResponseCode.serverFailure, addresses: [], ttlSeconds: 0 };
      onAnswer(encodeAnswer(bytes, query, failure, bytesMax));
    });
  }
}

function addressesFor({ type }: Query, { ipv4, ipv6 }: NameAddresses): readonly Uint8Array[] {
  if (type === RecordType.A) return ipv4;
  return type === RecordType.AAAA ? ipv6 : [];
}
