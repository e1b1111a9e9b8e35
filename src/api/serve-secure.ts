/**
 * The API over TLS, for everybody who is not on this machine: gRPC, Connect, gRPC-Web, and pages
 * and REST, on one port (ALPN: h2, http/1.1). A client's certificate is asked for and judged, never
 * demanded: who has none yet comes for his first.
 *
 *   accept ─▶ handshaking ──▶ secure ──request──▶ served
 *               │ 10 s, or one too many           │ quiet for a minute, or one too many
 *               ▼                                 ▼
 *             closed                            closed
 *
 * TLS 1.2 and 1.3, no tickets: a resumed session would not be asked for its certificate again.
 * Whoever has shown no certificate of ours gives way to those who have: of handshakes and of such
 * connections the oldest is closed when there are too many, so that holding many open helps nobody.
 */
import { constants } from "node:crypto";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import type { Clock } from "../core/clock.ts";
import { closeWhenQuiet } from "../io/quiet-socket.ts";
import { addressText } from "./address.ts";
import { type ApiOptions, apiHandler } from "./api-handler.ts";
import type { NodeServerRequest } from "./fetch-handler.ts";
import { listen } from "./listen.ts";
import { type Peer, readShownCertificate } from "./peer.ts";
import type { ApiServer } from "./serve.ts";

/** What the port shows, and whom it believes. */
export interface ServerCredential {
  /** PEM: the leaf first. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** PEM, one certificate each. */
  readonly rootPems: readonly string[];
}

export interface ServeSecureOptions extends ApiOptions {
  readonly hostname: string;
  /** 0 picks one. */
  readonly port: number;
  readonly clock: Clock;
  readonly credential: ServerCredential;
  readonly limits?: Partial<SecureLimits>;
}

export interface SecureLimits {
  readonly handshakes: number;
  readonly handshakeMs: number;
  /** Connections that have shown no certificate of ours. */
  readonly strangers: number;
  /** All together. */
  readonly connections: number;
  /** Nothing is said for so long on a connection without a certificate. */
  readonly quietMs: number;
}

export interface SecureCounts {
  readonly connections: number;
  readonly handshakes: number;
  readonly strangers: number;
  /** Since the start. */
  readonly failedHandshakes: number;
  readonly displaced: number;
}

export interface SecureApiServer extends ApiServer {
  /** For connections from now on. */
  use(credential: ServerCredential): void;
  readonly counts: SecureCounts;
}

const LIMITS: SecureLimits = {
  handshakes: 512,
  handshakeMs: 10_000,
  strangers: 1_024,
  connections: 50_000,
  quietMs: 60_000,
};
const KEEP_ALIVE_PROBE_MS = 15_000;
const UNKNOWN: Peer = { at: "tls", address: "", certificate: undefined };

export async function serveSecureApi(options: ServeSecureOptions): Promise<SecureApiServer> {
  const limits = { ...LIMITS, ...options.limits };
  const connections = new SecureConnections(limits);
  const handler = apiHandler(options, {
    scheme: "https",
    peerOf: (request) => connections.peerOf(request),
  });
  const server = createSecureServer(
    {
      ...contextOf(options.credential),
      allowHTTP1: true,
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: limits.handshakeMs,
    },
    handler,
  );
  connections.follow(server);
  const { hostname, port } = await listen(server, options);
  return {
    hostname,
    port,
    use: (credential) => server.setSecureContext(contextOf(credential)),
    get counts() {
      return connections.counts;
    },
    async close() {
      server.close();
      connections.close();
    },
  };
}

function contextOf({ chainPem, keyPem, rootPems }: ServerCredential): SecureContextOptions {
  return {
    cert: chainPem,
    key: keyPem,
    ca: [...rootPems],
    minVersion: "TLSv1.2",
    // With 1.2 only forward secrecy and AEAD.
    ciphers:
      "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

class SecureConnections {
  readonly #limits: SecureLimits;
  /** Each in the order in which they came. */
  readonly #all = new Set<Socket>();
  readonly #handshaking = new Set<Socket>();
  readonly #strangers = new Set<Socket>();
  readonly #peers = new WeakMap<object, Peer>();
  #failedHandshakes = 0;
  #displaced = 0;

  constructor(limits: SecureLimits) {
    this.#limits = limits;
  }

  get counts(): SecureCounts {
    return {
      connections: this.#all.size,
      handshakes: this.#handshaking.size,
      strangers: this.#strangers.size,
      failedHandshakes: this.#failedHandshakes,
      displaced: this.#displaced,
    };
  }

  follow(server: Http2SecureServer): void {
    server.on("connection", (socket: Socket) => this.#accepted(socket));
    server.on("secureConnection", (socket: TLSSocket) => this.#secured(socket));
    server.on("tlsClientError", (_, socket: Socket) => {
      this.#failedHandshakes++;
      socket.destroy();
    });
    server.on("clientError", (_, socket: Socket) => void socket.destroy());
    server.on("unknownProtocol", (socket: Socket) => void socket.destroy());
    server.on("sessionError", () => {});
    server.on("session", (session: ServerHttp2Session) => {
      session.on("error", () => {});
    });
    server.on("error", () => {});
  }

  /** Of the connection by which a request came. */
  peerOf(request: NodeServerRequest): Peer {
    const socket = "stream" in request ? request.stream.session?.socket : request.socket;
    if (socket === undefined) return UNKNOWN;
    const key = "stream" in request ? request.stream.session! : socket;
    const known = this.#peers.get(key);
    if (known !== undefined) return known;
    const peer = readPeer(socket as TLSSocket);
    this.#peers.set(key, peer);
    return peer;
  }

  close(): void {
    for (const socket of this.#all) socket.destroy();
  }

  #accepted(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#forget(socket));
    this.#all.add(socket);
    if (this.#all.size > this.#limits.connections) this.#displace(this.#strangers, socket);
    this.#handshaking.add(socket);
    if (this.#handshaking.size > this.#limits.handshakes) this.#displace(this.#handshaking, socket);
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
  }

  #secured(socket: TLSSocket): void {
    this.#handshaking.delete(socket);
    if (socket.authorized || socket.destroyed) return;
    this.#strangers.add(socket);
    if (this.#strangers.size > this.#limits.strangers) this.#displace(this.#strangers, socket);
    closeWhenQuiet(socket, this.#limits.quietMs);
  }

  /** The oldest of a kind gives way; where there is none, who came last. */
  #displace(kind: ReadonlySet<Socket>, latest: Socket): void {
    const [oldest = latest] = kind;
    this.#displaced++;
    // At once: its close is heard of later, and then another one would have to give way too.
    this.#forget(oldest);
    oldest.destroy();
  }

  #forget(socket: Socket): void {
    this.#all.delete(socket);
    this.#handshaking.delete(socket);
    this.#strangers.delete(socket);
  }
}

function readPeer(socket: TLSSocket): Peer {
  const { remoteAddress = "", remotePort = 0 } = socket;
  const address = addressText({ hostname: remoteAddress, port: remotePort });
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return { at: "tls", address, certificate: undefined };
  const verdict = socket.authorized ? "" : String(socket.authorizationError ?? "UNKNOWN");
  return { at: "tls", address, certificate: readShownCertificate(leaf, verdict) };
}
