/**
 * Connections that the kernel led here: what becomes of one follows from where it wanted to go, or,
 * where nothing is known of that, from what it says first.
 *
 *   outbound   a service's address ─▶ as its port is declared: requests, or relayed as they are
 *              any other ─▶ its first bytes ─▶ requests (by Host), or relayed
 *   inbound    the port of the application that it wanted ─▶ the same by first bytes
 */
import { ClientHelloReader } from "../../io/client-hello.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import { type ConnectionNames, UNKNOWN_NAMES } from "../../telemetry/connection-names.ts";
import { Detection } from "../tcp/detection.ts";
import type { AcceptedConnection } from "./downstream-owner.ts";

/** What the data plane knows of addresses, and does with what is no request. */
export interface CapturePort {
  /** "requests", "bytes": as its port is declared; undefined: nobody of the mesh is there. */
  declared(destination: SocketAddress): "requests" | "bytes" | undefined;
  /** Takes the connection over, with what it has said; `ended`: its FIN has come. */
  relay(socket: TcpSocket<unknown>, call: CapturedCall): void;
}

/** What is known of a captured connection when it is accepted. */
export interface AcceptedCall {
  readonly destination: SocketAddress;
  /** Who called, where the socket does not tell. */
  readonly source?: SocketAddress | undefined;
  /** TLS that ended here; undefined: it is plaintext. */
  readonly tls?: TlsFacts | undefined;
}

export interface CapturedCall extends AcceptedCall {
  readonly serverName: string;
  readonly early: Uint8Array;
  readonly ended: boolean;
}

export interface CapturedParts {
  readonly timers: TimerWheel;
  readonly port: CapturePort;
  /** Requests will come; `early` is what was received already. */
  readonly begin: (socket: TcpSocket<AcceptedConnection>, early: CapturedCall) => void;
  readonly opened: (connection: AcceptedConnection) => void;
  readonly closed: (connection: AcceptedConnection) => void;
}

const NO_BYTES = new Uint8Array(0);

/** Decides at once where it can; else the socket's owner is a DetectedConnection until it is. */
export function acceptCaptured(
  socket: TcpSocket<AcceptedConnection>,
  accepted: AcceptedCall,
  parts: CapturedParts,
): void {
  const call = { ...accepted, serverName: "", early: NO_BYTES, ended: false };
  switch (spokenIn(accepted) ?? parts.port.declared(accepted.destination)) {
    case "requests":
      return parts.begin(socket, call);
    case "bytes":
      return parts.port.relay(socket, call);
    case undefined: {
      const connection = new DetectedConnection(socket, accepted, parts);
      socket.data = connection;
      parts.opened(connection);
      connection.begin();
    }
  }
}

/** A proxy of the mesh says in its ALPN what is inside; undefined: nobody says. */
function spokenIn({ tls }: AcceptedCall): "requests" | "bytes" | undefined {
  switch (tls?.protocol) {
    case "mesh-tcp":
      return "bytes";
    case "mesh-h2":
    case "mesh-http/1.1":
      return "requests";
    default:
      return undefined;
  }
}

/** A connection of which it is not known yet what it speaks, as the engine sees it. */
class DetectedConnection implements AcceptedConnection {
  readonly exchanges = 0;
  readonly waiting = 0;
  readonly captured: SocketAddress;
  readonly #detection: Detection;
  readonly #socket: TcpSocket<AcceptedConnection>;

  constructor(socket: TcpSocket<AcceptedConnection>, accepted: AcceptedCall, parts: CapturedParts) {
    this.#socket = socket;
    this.captured = accepted.destination;
    this.#detection = new Detection(
      {
        timers: parts.timers,
        declared: "unknown",
        port: accepted.destination.port,
        proxyProtocol: "none",
        makeHelloReader: () => new ClientHelloReader(),
        decided: (_, { speaks, serverName, bytes }, ended) => {
          parts.closed(this);
          const call = { ...accepted, serverName, early: bytes, ended };
          const isHttp = speaks === "http1" || speaks === "http2";
          if (isHttp) parts.begin(socket, call);
          else parts.port.relay(socket, call);
        },
        gone: () => parts.closed(this),
      },
      socket,
    );
  }

  get names(): ConnectionNames {
    return UNKNOWN_NAMES;
  }

  begin(): void {
    this.#detection.begin();
  }

  drain(): void {}

  stop(): void {}

  abort(): void {
    this.#socket.terminate();
  }

  data(bytes: Uint8Array): void {
    this.#detection.data(bytes);
  }

  drained(): void {}

  ended(): void {
    this.#detection.ended();
  }

  closed(): void {
    this.#detection.closed();
  }

  holds(): boolean {
    return true;
  }
}
