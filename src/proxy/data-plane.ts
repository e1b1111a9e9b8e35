/**
 * The engines of one sidecar with what they share: metrics, access log, configuration.
 *
 * Inbound and outbound are engines of their own, because they end at different times: what comes in
 * is drained first, while the application may still call out to answer it.
 */
import { addressText } from "../api/address.ts";
import type { ProxyConfig } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { formatProblem, type Problem } from "../core/problem.ts";
import type { Random } from "../core/random.ts";
import { defaultHeadLimits } from "../http/message-head.ts";
import { descriptorLimit } from "../io/descriptor-limit.ts";
import type { OfferedListener } from "../io/listener-handover.ts";
import { readResolverConfig } from "../io/resolver-config.ts";
import type { TcpSocket } from "../io/socket.ts";
import type { SocketAddress } from "../io/socket-address.ts";
import { ListenError, type ListenOptions, type TcpListener } from "../io/tcp-listener.ts";
import { TimerWheel } from "../io/timer-wheel.ts";
import type { LineSink } from "../telemetry/access-log.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { AccessSeat } from "./access/access-seat.ts";
import { ServiceClusters } from "./access/service-clusters.ts";
import { type ClusterView, viewCluster } from "./admin/cluster-view.ts";
import type { ListenerView } from "./admin/proxy-view.ts";
import { AccessLogSwitch } from "./agent/access-log-switch.ts";
import { resolveName } from "./agent/resolve-name.ts";
import { applicationProtocol } from "./application-protocol.ts";
import { type CaptureView, captureView, emptyCaptureView } from "./capture/capture-view.ts";
import { NetworkProber } from "./cluster/health/network-prober.ts";
import { localTcp } from "./cluster/local-tcp.ts";
import { DnsSeat } from "./dns/dns-seat.ts";
import { Engine, type EngineCapture } from "./engine.ts";
import type { EngineStats } from "./engine-stats.ts";
import { connectionsWithin, defaultEngineLimits } from "./exchange/limits.ts";
import type { HostPort, ProxyFlags } from "./flags.ts";
import { EdgeListeners } from "./gateway/edge-listeners.ts";
import { IdentitySeat } from "./identity/identity-seat.ts";
import type { PassedCall } from "./identity/inbound-tls.ts";
import type { WorkloadKeyPair } from "./identity/mesh-identity.ts";
import { besideInIpv6, IPV6_NAMES, isWithoutIpv6 } from "./listener/both-families.ts";
import type { ListenerName } from "./listener/own-addresses.ts";
import { countHeaderFaults } from "./listener/proxy-header-gate.ts";
import { policyNode } from "./policy/policy-node.ts";
import { PolicySeat } from "./policy/policy-seat.ts";
import { compileSnapshot } from "./snapshot/compile.ts";
import { nothing, unconfigured } from "./snapshot/fixed-config.ts";
import type { Snapshot } from "./snapshot/snapshot.ts";
import { bindOr } from "./start-fault.ts";
import { TcpPlane } from "./tcp/tcp-plane.ts";
import type { Inheritance, Place, TrafficPlane } from "./traffic-plane.ts";
import { unreadBytes } from "./transport/unread-bytes.ts";
import { TurnQueue } from "./turn-queue.ts";
import { UpstreamCredentials } from "./upstream/upstream-credentials.ts";

export interface DataPlaneParts {
  readonly flags: ProxyFlags;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What it shares with others in this process; absent: it is alone. */
  readonly shared?: SharedParts;
}

type Open = (at: ListenOptions) => TcpListener;

export interface SharedParts {
  /** How many there are, with this one. */
  readonly workers: number;
  readonly metrics: Metrics;
  /** The file of the access log, which all of them write. */
  readonly sink: (file: LineSink) => LineSink;
}

export class DataPlane implements TrafficPlane {
  readonly metrics: Metrics;
  readonly #parts: DataPlaneParts;
  readonly #outbound: Engine;
  readonly #inbound: Engine | undefined;
  readonly #tcp: TcpPlane;
  readonly #listeners = new Map<string, TcpListener>();
  /** Of a gateway, which has no others. */
  readonly #edges: EdgeListeners | undefined;
  readonly #accessLog: AccessLogSwitch;
  readonly policy: PolicySeat;
  readonly access: AccessSeat;
  #captureView = emptyCaptureView;
  readonly #dns: DnsSeat;
  /** Applied last. */
  #snapshot: Snapshot | undefined;
  /** Configurations whose names are asked for, and what was asked after them. */
  readonly #applying = new TurnQueue<readonly Problem[]>();
  #isClosed = false;
  readonly #prober: NetworkProber;
  readonly #identity: IdentitySeat;
  readonly #credentials: UpstreamCredentials;

  constructor(parts: DataPlaneParts) {
    this.#parts = parts;
    const { clock, random, log, flags, shared } = parts;
    this.metrics = shared?.metrics ?? new Metrics();
    this.#prober = new NetworkProber(new TimerWheel(clock));
    this.#credentials = new UpstreamCredentials({ clock, log });
    const engines = flags.app === undefined ? 1 : 2;
    const connectionsMax = connectionsWithin(descriptorLimit(), engines, shared?.workers);
    const limits = { downstreamConnectionsMax: connectionsMax };
    const { metrics } = this;
    const held = unreadBytes(metrics, defaultEngineLimits.heldBytesMax, shared?.workers);
    const names = () => this.captureView.names;
    this.#dns = new DnsSeat({ at: flags.dns, clock, log, metrics, names });
    this.#identity = new IdentitySeat({
      ...{ clock, log, metrics },
      onRefused: (...about) => this.access.watch.handshakeRefused(...about),
      passOn: (socket, call) => this.#passToApplication(socket, call),
      planes: () => [this.#outbound, this.#inbound, this.#tcp],
    });
    const { identity } = this.#identity;
    const options = { clock, random, metrics, log, limits, held, identity };
    this.#tcp = new TcpPlane({ clock, random, log, metrics, connectionsMax, held, identity });
    this.policy = new PolicySeat({
      ...{ clock, random, log, metrics, limits: defaultHeadLimits, mixer: flags.mixer },
      node: () => policyNode(flags, this.address("inbound"), random),
      use: (outbound, inbound) => {
        this.#outbound.watchers.policy = outbound.exchanges;
        if (this.#inbound !== undefined) this.#inbound.watchers.policy = inbound.exchanges;
        this.#tcp.usePolicy(outbound.relays, inbound.relays);
      },
    });
    this.access = new AccessSeat({
      ...{ clock, random, log: log.child("access"), metrics, identity, flags },
      services: new ServiceClusters(() => this.#snapshot),
      use: ({ requests, relays }) => {
        const engine = flags.mode === "gateway" ? this.#outbound : this.#inbound;
        if (engine !== undefined) engine.watchers.access = requests;
        this.#tcp.useAccess(flags.mode === "gateway" ? "outbound" : "inbound", relays);
      },
    });
    const { unknownHosts } = this.#tcp;
    const capture = this.#outboundCapture();
    const snapshot = this.#fixed(unconfigured);
    this.#outbound = new Engine({ ...options, snapshot, capture, unknownHosts });
    if (flags.app !== undefined) {
      const inbound = this.#inboundCapture(flags.app);
      this.#inbound = new Engine({ ...options, snapshot: this.#fixed(nothing), capture: inbound });
    }
    const engine = this.#outbound;
    for (const one of [engine, this.#inbound])
      if (one !== undefined) one.watchers.denials = this.access.watch;
    if (flags.mode === "gateway")
      this.#edges = new EdgeListeners({
        ...{ engine, flags, clock, log, metrics },
        relay: (socket, call) => this.#tcp.takeNamed(socket, call),
      });
    // Who may call is not known yet.
    this.access.shut();
    this.#accessLog = new AccessLogSwitch({
      ...{ flags, clock, log, sink: shared?.sink },
      use: (accessLog) => {
        this.#outbound.watchers.accessLog = accessLog;
        if (this.#inbound !== undefined) this.#inbound.watchers.accessLog = accessLog;
        this.#tcp.accessLog = accessLog;
      },
    });
  }

  registries(): readonly Metrics[] {
    return [this.metrics];
  }

  /** A promise where names of new clusters are asked for first, or another one is under way. */
  apply(config: ProxyConfig): readonly Problem[] | Promise<readonly Problem[]> {
    return this.#applying.ask(() => this.#apply(config));
  }

  #apply(config: ProxyConfig): readonly Problem[] | Promise<readonly Problem[]> {
    if (this.#isClosed) return [];
    const loading = this.load(config);
    if (loading !== undefined) return loading.then(() => this.#apply(config));
    const compiled = this.compile(config, this.#snapshot);
    if (Array.isArray(compiled)) return compiled;
    const warm = this.#snapshot === undefined ? undefined : compiled.warm(this.#parts.clock);
    if (warm !== undefined) return warm.then(() => this.#publishWarm(compiled));
    this.publish(compiled);
    return [];
  }

  #publishWarm(snapshot: Snapshot): readonly Problem[] {
    if (this.#isClosed) snapshot.abandon();
    else this.publish(snapshot);
    return [];
  }

  compile(config: ProxyConfig, former: Snapshot | undefined): Snapshot | Problem[] {
    const { flags, clock, random } = this.#parts;
    const source = { service: flags.service, version: flags.labels.version ?? "" };
    const { metrics } = this;
    const snapshot = compileSnapshot(config, {
      clock,
      random,
      metrics,
      resolve: resolveName,
      source,
      locality: flags.locality,
      prober: this.#prober,
      identity: this.#identity.identity,
      credentials: this.#credentials,
      compilePolicy: this.policy.compile,
      former,
    });
    if (Array.isArray(snapshot)) return snapshot;
    const problems = this.#edges?.prepare(snapshot.edges) ?? [];
    return problems.length === 0 ? snapshot : [...problems];
  }

  /** A promise where the code for what `config` asks is not there yet. */
  load(config: ProxyConfig): Promise<void> | undefined {
    return this.policy.load(config) ?? this.access.load(config);
  }

  /** For connections from now on. */
  useCertificate(pair: WorkloadKeyPair): void {
    this.#identity.useCertificate(pair);
  }

  /** What was compiled last is not published. */
  withdraw(): void {
    this.#edges?.withdraw();
  }

  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#identity.publish(snapshot);
    this.policy.publish(snapshot.policy);
    this.access.publish(snapshot.access);
    this.#outbound.watchers.claim = this.policy.claim;
    this.#outbound.publish(snapshot);
    this.policy.know(snapshot.clusters.values());
    this.#tcp.publish(snapshot);
    const clusters = [...snapshot.clusters.values()];
    this.#credentials.keep(clusters.flatMap(({ tls }) => tls?.settings ?? []));
    this.#edges?.commit(snapshot.edges);
    this.#dns.follow();
    this.#accessLog.follow(snapshot.settings);
  }

  /** What was published last. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  async ready(): Promise<void> {
    await this.#snapshot?.ready();
  }

  clusters(): ClusterView[] {
    return [...(this.#snapshot?.clusters.values() ?? [])].map(viewCluster);
  }

  /** What captured connections and questions find in the snapshot that is published. */
  get captureView(): CaptureView {
    const { snapshot } = this.#outbound;
    // Asked for each captured connection.
    if (this.#captureView.hosts === snapshot.hosts) return this.#captureView;
    const search = (): readonly string[] => readResolverConfig().search;
    this.#captureView = captureView(snapshot, this.#captureView, search);
    return this.#captureView;
  }

  openDns(): Promise<void> {
    return this.#dns.open();
  }

  closeDns(): void {
    this.#dns.close();
  }

  async listen(inheritance: Inheritance | undefined): Promise<void> {
    this.listenAt((name, address) => {
      const fd = inheritance?.use(name);
      return fd === undefined ? address : { ...address, fd };
    });
    // It goes on, and has the same sockets.
    if (inheritance !== undefined) this.pauseAccept();
  }

  /** Throws StartFault. */
  listenAt(at: Place): void {
    const { flags } = this.#parts;
    if (this.#edges !== undefined) {
      // Its snapshots say where it listens.
      this.#edges.place = at;
      return;
    }
    const outbound = (): TcpListener =>
      this.#outbound.listenOutbound(at("outbound", flags.outbound));
    this.#listeners.set("outbound", bindOr("outbound", flags.outbound, outbound));
    this.#listenBeside("outbound", at, (beside) => this.#outbound.listenBeside("outbound", beside));
    this.#listenTcp(at);
    const engine = this.#inbound;
    const { app, service } = flags;
    if (engine === undefined || app === undefined) return;
    const version = flags.labels.version ?? "";
    const { protocol, tellsPeers } = flags;
    const { security } = this.#identity;
    const headerRefused = flags.proxyProtocol
      ? countHeaderFaults(this.metrics, "inbound")
      : undefined;
    if (protocol === "tcp") {
      const local = localTcp(app, this.#parts.flags);
      const open = (where: ListenOptions) =>
        this.#tcp.listenApplication(local, where, { refused: headerRefused, security });
      this.#listenInbound(at, open, open);
    } else {
      const { tproxyMark } = flags;
      const application = {
        app,
        service,
        version,
        tproxyMark,
        headerRefused,
        security,
        tellsPeers,
      };
      const speaks = applicationProtocol(protocol);
      this.#listenInbound(
        at,
        (where) => engine.listenInbound({ ...where, ...application, protocol: speaks }),
        (where) => engine.listenBeside("inbound", where),
      );
    }
  }

  #listenInbound(at: Place, open: Open, openBeside: Open): void {
    const { flags } = this.#parts;
    const transparent = flags.tproxyMark !== undefined;
    const bind = (): TcpListener => open({ ...at("inbound", flags.inbound), transparent });
    const listener = bindOr("inbound", flags.inbound, bind);
    this.#listeners.set("inbound", listener);
    this.#known("inbound");
    this.#listenBeside("inbound", at, (beside) => openBeside({ ...beside, transparent }));
  }

  /** At the same port of IPv6, where there is IPv6. */
  #listenBeside(name: ListenerName, at: Place, open: Open): void {
    const { hostname } = this.#parts.flags[name];
    const beside = besideInIpv6({ hostname, port: this.#listeners.get(name)!.port });
    if (beside === undefined) return;
    const named = IPV6_NAMES[name];
    try {
      const listener = open({ ...at(named, { ...beside, ipv6Only: true }), ipv6Only: true });
      this.#listeners.set(named, listener);
      this.#tcp.own.add(name, listener.hostname, listener.port);
    } catch (thrown) {
      if (!(thrown instanceof ListenError)) throw thrown;
      if (isWithoutIpv6(thrown)) return;
      const address = addressText(beside);
      this.#parts.log.warn("not reached by IPv6", { listener: name, address, code: thrown.code });
    }
  }

  /** What the application calls: services by their addresses, all else by what it says. */
  #outboundCapture(): EngineCapture {
    const found = (wanted: SocketAddress) => this.captureView.destinations.find(wanted);
    const named = (wanted: SocketAddress): string => found(wanted)?.name ?? "";
    return {
      declared: (wanted) => {
        const name = named(wanted);
        if (name === "") return undefined;
        return this.#tcp.relays(name, wanted) ? "bytes" : "requests";
      },
      relay: (socket, call) => this.#tcp.takeOutbound(socket, call, named(call.destination)),
      hostAt: (wanted) => found(wanted)?.virtualHost,
      isMade: (address) => this.captureView.destinations.knows(address),
    };
  }

  /** What others call: the application, at the port that they wanted. */
  #inboundCapture(app: HostPort): EngineCapture {
    const local = localTcp(app, this.#parts.flags);
    return {
      declared: ({ port }) => (port === app.port ? "requests" : undefined),
      relay: (socket, call) => this.#tcp.takeInbound(socket, call, local),
      hostAt: () => undefined,
      isMade: () => false,
    };
  }

  /** TLS of the application's own. */
  #passToApplication(socket: TcpSocket<unknown>, { port, ...call }: PassedCall): void {
    const { app } = this.#parts.flags;
    if (app === undefined) return socket.terminate();
    const destination = { address: app.hostname, port };
    this.#tcp.takeInbound(
      socket,
      { ...call, destination, ended: false },
      localTcp(app, this.#parts.flags),
    );
  }

  /** Ports that stand for a destination; several proxies may be told of the same one. */
  #listenTcp(at: Place): void {
    this.#known("outbound");
    for (const { destination, ...address } of this.#parts.flags.tcpListeners) {
      const name = `tcp ${addressText(address)} ${destination}`;
      const open = (): TcpListener => this.#tcp.listenFor(destination, at(name, address));
      this.#listeners.set(name, bindOr("tcp-listen", address, open));
    }
  }

  /** What an engine opened is ours too: nothing may be relayed there. */
  #known(name: "outbound" | "inbound"): void {
    const listener = this.#listeners.get(name);
    if (listener !== undefined) this.#tcp.own.add(name, listener.hostname, listener.port);
  }

  /** Leaves new connections to the predecessor, with which the listening sockets are shared. */
  pauseAccept(): void {
    for (const listener of this.#listeners.values()) listener.pauseAccept();
    this.#edges?.pauseAccept();
  }

  async resumeAccept(): Promise<void> {
    for (const listener of this.#listeners.values()) listener.resumeAccept();
    this.#edges?.resumeAccept();
  }

  /** Where it listens; the port is the one bound. */
  address(name: "outbound" | "inbound"): HostPort | undefined {
    const listener = this.#listeners.get(name);
    if (listener === undefined) return undefined;
    return { hostname: this.#parts.flags[name].hostname, port: listener.port };
  }

  listeners(): ListenerView[] {
    const bound = (["outbound", "inbound"] as const).flatMap((name) => {
      const address = this.address(name);
      const beside = this.#listeners.get(IPV6_NAMES[name]);
      return [
        ...(address === undefined ? [] : [{ name, address: addressText(address) }]),
        ...(beside === undefined ? [] : [{ name: IPV6_NAMES[name], address: addressText(beside) }]),
      ];
    });
    const relayed = [...this.#listeners].filter(([name]) => name.startsWith("tcp "));
    const views = relayed.map(([name, listener]) => ({
      name: `tcp ${name.slice(name.lastIndexOf(" ") + 1)}`,
      address: addressText(listener),
    }));
    const { address } = this.#dns;
    const dns = address === undefined ? [] : [{ name: "dns", address }];
    return [...bound, ...views, ...(this.#edges?.views() ?? []), ...dns];
  }

  offered(): (OfferedListener & { readonly port: number })[] {
    const own = [...this.#listeners].map(([name, { fd, port }]) => ({ name, fd, port }));
    return [...own, ...(this.#edges?.offered() ?? [])];
  }

  stats(): Readonly<Record<string, EngineStats>> {
    const outbound = this.#outbound.stats();
    return this.#inbound === undefined
      ? { outbound }
      : { outbound, inbound: this.#inbound.stats() };
  }

  /** No new connections; those that are there end after their exchange, or in time. */
  async drainInbound(deadlineMs: number): Promise<void> {
    await Promise.all([this.#inbound?.drain(deadlineMs), this.#tcp.drain("inbound", deadlineMs)]);
  }

  async drainOutbound(deadlineMs: number): Promise<void> {
    await Promise.all([this.#outbound.drain(deadlineMs), this.#tcp.drain("outbound", deadlineMs)]);
  }

  get accessLog(): AccessLogSwitch {
    return this.#accessLog;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.closeDns();
    this.#credentials.close();
    this.#identity.close();
    this.#edges?.close();
    this.#tcp.close();
    this.access.close();
    const told = this.policy.close();
    this.#inbound?.close();
    this.#outbound.close();
    await told;
    await this.#accessLog.close();
  }

  #fixed(config: ProxyConfig): Snapshot {
    const compiled = this.compile(config, undefined);
    if (Array.isArray(compiled)) throw new Error(compiled.map(formatProblem).join("; "));
    compiled.activate(undefined);
    return compiled;
  }
}
