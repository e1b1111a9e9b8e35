/**
 * The listeners of a gateway, which follow its snapshots. What is new is bound before the snapshot
 * is published, and accepts from then on: a port that cannot be had is a problem of the snapshot,
 * and the former one stays in force with all its ports.
 *
 *   prepare(edges) ─▶ problems, or bound and paused ─▶ commit(edges) ─▶ accepting; the rest closed
 */
import { addressText } from "../../api/address.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Problem } from "../../core/problem.ts";
import { bindReason } from "../../io/bind-reason.ts";
import type { OfferedListener } from "../../io/listener-handover.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { ListenOptions, TcpListener } from "../../io/tcp-listener.ts";
import type { Unanswered } from "../../io/tls-acceptor.ts";
import type { TlsFault } from "../../io/tls-fault.ts";
import { ServerTls } from "../../io/tls-settings.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { ListenerView } from "../admin/proxy-view.ts";
import type { Engine } from "../engine.ts";
import type { HostPort, ProxyFlags } from "../flags.ts";
import { countHeaderFaults } from "../listener/proxy-header-gate.ts";
import type { EdgeListener, EdgeListenerFacts } from "../snapshot/edge-listener.ts";
import type { NamedCall } from "../tcp/tcp-plane.ts";
import type { Place } from "../traffic-plane.ts";
import type { EdgeTls } from "./edge-handlers.ts";
import { SecretFiles } from "./secret-files.ts";
import { ServerNameTable } from "./server-name-table.ts";

export interface EdgeListenersParts {
  readonly engine: Engine;
  readonly flags: ProxyFlags;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Passes a connection on by the name that it asks for; false: nobody has that name. */
  readonly relay: (socket: TcpSocket<unknown>, call: NamedCall) => boolean;
}

interface Bound {
  readonly facts: EdgeListenerFacts;
  readonly listener: TcpListener;
  readonly names: ServerNameTable;
}

/** Most wanted first. */
const PROTOCOLS = ["h2", "http/1.1"];
const POSITION = { file: "proxy config", line: 0, column: 0 };

export class EdgeListeners {
  readonly #parts: EdgeListenersParts;
  readonly #secrets: SecretFiles;
  readonly #bound = new Map<string, Bound>();
  /** What is in force, by name: a listener stays bound while what it does changes. */
  #inForce: ReadonlyMap<string, EdgeListenerFacts> = new Map();
  /** Of a snapshot that is not published yet. */
  #prepared: Bound[] = [];
  #place: Place = (_name, address) => address;
  /** Descriptors that were taken over. */
  readonly #inherited = new Set<number>();
  #paused = false;

  constructor(parts: EdgeListenersParts) {
    this.#parts = parts;
    const { flags, clock, log, metrics } = parts;
    this.#secrets = new SecretFiles({
      ...{ directory: flags.certificates, clock, log, metrics },
      asksClients: flags.clientCertificates !== "none",
    });
  }

  /** By the names of `offered`. */
  set place(place: Place) {
    this.#place = place;
  }

  /** Binds what is not bound yet; with a problem nothing has changed. */
  prepare(edges: readonly EdgeListener[]): readonly Problem[] {
    this.withdraw();
    const problems: Problem[] = [];
    for (const { facts } of edges) {
      if (isSame(this.#bound.get(facts.name)?.facts, facts)) continue;
      const bound = this.#bind(facts);
      if (typeof bound === "string")
        problems.push({
          severity: "error",
          position: POSITION,
          path: `settings.gateway.listeners[${facts.name}]`,
          message: bound,
        });
      else this.#prepared.push(bound);
    }
    if (problems.length > 0) this.withdraw();
    return problems;
  }

  /** What was prepared is not published. */
  withdraw(): void {
    for (const { listener } of this.#prepared.splice(0)) this.#parts.engine.closeListener(listener);
  }

  /** The snapshot that was prepared is in force. */
  commit(edges: readonly EdgeListener[]): void {
    const wanted = new Map(edges.map(({ facts }) => [facts.name, facts]));
    this.#inForce = wanted;
    for (const [name, { facts }] of this.#bound)
      if (!isSame(wanted.get(name), facts)) this.#close(name);
    for (const bound of this.#prepared.splice(0)) this.#bound.set(bound.facts.name, bound);
    const names = edges.flatMap(({ facts }) => facts.certificates.map((one) => one.name));
    this.#secrets.use(new Set(names));
    for (const [name, bound] of this.#bound) {
      bound.names.publish(wanted.get(name)!.certificates);
      if (!this.#paused) bound.listener.resumeAccept();
    }
  }

  pauseAccept(): void {
    this.#paused = true;
    for (const { listener } of this.#bound.values()) listener.pauseAccept();
  }

  resumeAccept(): void {
    this.#paused = false;
    for (const { listener } of this.#bound.values()) listener.resumeAccept();
  }

  /** For a successor. */
  offered(): (OfferedListener & { readonly port: number })[] {
    return [...this.#bound.values()].map(({ facts, listener }) => ({
      ...{ name: offeredName(facts), fd: listener.fd, port: listener.port },
    }));
  }

  views(): ListenerView[] {
    return [...this.#bound.values()].map(({ facts, listener }) => ({
      name: facts.name,
      address: addressText(listener),
    }));
  }

  /** Nothing is accepted any more. */
  close(): void {
    this.withdraw();
    for (const name of this.#bound.keys()) this.#close(name);
    this.#secrets.close();
  }

  #bind(facts: EdgeListenerFacts): Bound | string {
    const names = new ServerNameTable((name) => this.#secrets.find(name));
    const { flag, at } = this.#placeOf(facts);
    const { metrics, flags } = this.#parts;
    const tls = facts.secure ? this.#tls(facts, names) : undefined;
    const header = {
      expected: () => flags.proxyProtocol || this.#inForce.get(facts.name)?.proxied === true,
      refused: countHeaderFaults(metrics, facts.name),
    };
    try {
      const place = this.#placed(facts, at);
      const listener = this.#parts.engine.listenEdge({ ...facts, at: place, tls, header });
      listener.pauseAccept();
      return { facts, listener, names };
    } catch (thrown) {
      return `${addressText(at)} ${bindReason(thrown)}${flag}`;
    }
  }

  #tls({ name, port }: EdgeListenerFacts, certificates: ServerNameTable): EdgeTls {
    const { log, metrics, flags } = this.#parts;
    const settings = new ServerTls({
      ...{ certificates, protocols: PROTOCOLS, unknownName: "refuse" },
      ...{ clientCertificate: flags.clientCertificates, clientRoots: this.#secrets },
    });
    const onRefused = (socket: TcpSocket<unknown>, fault: TlsFault, detail: string): void => {
      const labels = { listener: name, reason: fault };
      const help = "Handshakes with clients that came to nothing.";
      metrics.counter("mesh_tls_handshakes_failed_total", help, labels).increment();
      log.debug("no TLS connection", { ...labels, detail, client: socket.remoteAddress });
    };
    const pass = ({ socket, hello, received, source }: Unanswered) => {
      const { serverName } = hello;
      if (this.#inForce.get(name)?.passesTls !== true || certificates.claims(serverName)) return;
      const call = { port, serverName, source, early: received };
      return this.#parts.relay(socket, call) ? "taken" : "unknown";
    };
    return { settings, onRefused, pass };
  }

  /** Where clients' port is bound here, and what to say where that cannot be. */
  #placeOf({ port, secure }: EdgeListenerFacts): { readonly flag: string; readonly at: HostPort } {
    const { http, https } = this.#parts.flags;
    const choose = (flag: string): string => `: choose another with --${flag} (port 0 picks one)`;
    if (port === 80) return { flag: choose("http-port"), at: http };
    if (port === 443) return { flag: choose("https-port"), at: https };
    return { flag: "", at: { hostname: (secure ? https : http).hostname, port } };
  }

  /** A socket of a predecessor is taken over once. */
  #placed(facts: EdgeListenerFacts, at: HostPort): ListenOptions {
    const place = this.#place(offeredName(facts), at);
    const { fd } = place;
    if (fd === undefined) return place;
    if (this.#inherited.has(fd)) return { ...at, reusePort: this.#parts.flags.concurrency > 1 };
    this.#inherited.add(fd);
    return place;
  }

  #close(name: string): void {
    const bound = this.#bound.get(name);
    if (bound !== undefined) this.#parts.engine.closeListener(bound.listener);
    this.#bound.delete(name);
  }
}

/** But for what changes in place. */
function isSame(a: EdgeListenerFacts | undefined, b: EdgeListenerFacts): boolean {
  return a?.name === b.name && a.port === b.port && a.secure === b.secure;
}

function offeredName({ name, port, secure }: EdgeListenerFacts): string {
  return `edge ${name} ${port}${secure ? " tls" : ""}`;
}
