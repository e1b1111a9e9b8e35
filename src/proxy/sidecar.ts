/**
 * One running sidecar: what is opened in which order, and ended in which.
 *
 *   application ─▶ outbound 15001 ─▶ DataPlane ─▶ other proxies
 *   application ◀─ DataPlane ◀─ inbound 15006 ◀─ other proxies
 *   operator ─▶ admin 15000, readiness 15021
 *   Configuration ◀─ disk, --upstream, ManagerLink ◀─▶ manager
 */
import { mkdir } from "node:fs/promises";
import { addressText } from "../api/address.ts";
import { ConfigCache } from "../api/discovery/config-cache.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import type { SharedLevel } from "../core/shared-level.ts";
import {
  type Handover,
  type HandoverOffer,
  offerListeners,
  takeListeners,
} from "../io/listener-handover.ts";
import { MemoryTidying } from "../io/memory-tidying.ts";
import { addProcessMetrics, type ProcessMetrics } from "../telemetry/process-metrics.ts";
import { renderPrometheus } from "../telemetry/prometheus.ts";
import { type BoundServer, openAdmin, openReadiness } from "./admin/admin-server.ts";
import type { ListenerView, ProxyView, Readiness } from "./admin/proxy-view.ts";
import { exportAgentMetrics } from "./agent/agent-metrics.ts";
import { Application, applicationEnvironment } from "./agent/application.ts";
import { Configuration } from "./agent/configuration.ts";
import type { ManagerAccess, ManagerConnection, ManagerLink } from "./agent/manager-link.ts";
import { advertisedAddress, handoverPath, nodeId, stateKey } from "./agent/node-identity.ts";
import { staticConfig } from "./agent/static-config.ts";
import { DataPlane } from "./data-plane.ts";
import type { HostPort, ProxyFlags } from "./flags.ts";
import { exportCredentialMetrics } from "./identity/credential-metrics.ts";
import { decodeIdentity, encodeIdentity } from "./identity/kept-identity.ts";
import { RootFile } from "./identity/root-file.ts";
import { bindOr } from "./start-fault.ts";
import type { TrafficPlane } from "./traffic-plane.ts";
import { WorkerPlane } from "./worker/worker-plane.ts";

export interface SidecarParts {
  readonly flags: ProxyFlags;
  readonly version: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Runs the application so that it dies with us; may be empty. */
  readonly wrapper: readonly string[];
  /** Undefined: there is no manager. */
  readonly connect: ((access: ManagerAccess) => Promise<ManagerConnection>) | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Of this log. */
  readonly level: SharedLevel;
}

/** Why a sidecar ends. */
export type Ending =
  | { readonly at: "signal"; readonly signal: NodeJS.Signals; readonly applicationHasIt: boolean }
  | { readonly at: "application"; readonly code: number }
  | { readonly at: "successor" };

/** Static upstreams alone are not enough while a manager may still answer. */
const MANAGER_GRACE_MS = 1000;
const WAITING_NOTE_MS = 10_000;
const TAKE_OVER_MS = 5000;
/** From the end of a registration until no caller in the mesh chooses us any more. */
const PROPAGATION_MS = 500;
const REBIND_MS = 20;
const LAST_ANSWERS_MS = 100;
const DRAIN_MS = 5000;
/** Nobody answers any more, so nothing is worth a long wait. */
const APPLICATION_GONE_MS = 1000;

export class Sidecar {
  readonly #parts: SidecarParts;
  readonly #dataPlane: TrafficPlane;
  readonly #configuration: Configuration;
  readonly #ending = Promise.withResolvers<Ending>();
  readonly #hurry = Promise.withResolvers<void>();
  readonly #servers = new Map<"admin" | "readiness", BoundServer>();
  readonly #process: ProcessMetrics;
  #id: string | undefined;
  #state: "opening" | "waiting" | "live" | "draining" = "opening";
  #unhealthy = false;
  #isEnding = false;
  #predecessor: Handover | undefined;
  #succession: HandoverOffer | undefined;
  #link: ManagerLink | undefined;
  #application: Application | undefined;
  readonly #tidying: MemoryTidying;

  constructor(parts: SidecarParts) {
    this.#parts = parts;
    const { flags, log } = parts;
    // Who serves nothing has an id of chance, which rules are to know it by, too.
    if (flags.app === undefined) this.#id = nodeId(flags, "", parts.random);
    const plane = { ...parts, flags: { ...flags, id: this.#id } };
    this.#dataPlane = flags.concurrency === 1 ? new DataPlane(plane) : new WorkerPlane(plane);
    this.#tidying = new MemoryTidying(parts);
    this.#process = addProcessMetrics(this.#dataPlane.metrics, parts.clock);
    exportAgentMetrics(this.#dataPlane.metrics, {
      version: parts.version,
      ready: () => this.#readiness().ready,
      source: () => this.#configuration.source,
      discovery: () => this.#link?.discovery(),
      registration: () => this.#link?.registration(),
    });
    exportCredentialMetrics(this.#dataPlane.metrics, parts.clock, () => this.#credential());
    this.#configuration = new Configuration({
      base: staticConfig(flags.upstreams, flags),
      // Rules of a standalone proxy are on this disk anyway.
      cache: flags.standalone ? undefined : new ConfigCache(flags.stateDir, stateKey(flags)),
      clock: parts.clock,
      log: log.child("config"),
      apply: (config) => {
        this.#tidying.cause();
        return this.#dataPlane.apply(config);
      },
    });
  }

  /** Until its end; resolves with the exit code. Throws StartFault. */
  async run(): Promise<number> {
    try {
      await this.#open();
      await Promise.race([this.#configured(), this.#ending.promise]);
      if (!this.#isEnding) await this.#goLive();
      return await this.#end(await this.#ending.promise);
    } finally {
      await this.#close();
    }
  }

  /** Asks for an end; asked twice it does not wait for anybody. */
  end(ending: Ending): void {
    if (this.#isEnding) this.#hurry.resolve();
    this.#isEnding = true;
    this.#ending.resolve(ending);
  }

  /** SIGHUP, SIGUSR1 and SIGUSR2 are the application's; without one they reopen the access log. */
  signal(signal: NodeJS.Signals): void {
    if (this.#parts.flags.command.length > 0) this.#application?.signal(signal);
    else this.#dataPlane.accessLog.reopen();
  }

  async #open(): Promise<void> {
    const { flags, log } = this.#parts;
    if (flags.restart) {
      this.#predecessor = await takeListeners(handoverPath(flags), TAKE_OVER_MS);
      if (this.#predecessor === undefined) log.info("nobody to take the ports over from");
    }
    await this.#dataPlane.listen(this.#predecessor);
    // A predecessor goes on, with admin and readiness, until it is told; see #succeed.
    if (this.#predecessor === undefined) await this.#bindServers();
    await this.#connect();
    this.#state = "waiting";
  }

  async #bindServers(): Promise<void> {
    const { flags } = this.#parts;
    const view = this.#view();
    if (!this.#servers.has("admin")) {
      const admin = bindOr("admin", flags.admin, () => openAdmin(flags.admin, view));
      this.#servers.set("admin", admin);
    }
    const open = () => openReadiness(flags.readiness, view);
    if (!this.#servers.has("readiness"))
      this.#servers.set("readiness", bindOr("readiness", flags.readiness, open));
    await this.#dataPlane.openDns();
  }

  async #connect(): Promise<void> {
    const { connect, flags, log } = this.#parts;
    await this.#configuration.loadFromDisk();
    if (connect === undefined) return;
    const { ManagerLink } = await import("./agent/manager-link.ts");
    this.#link = new ManagerLink(await connect(this.#managerAccess()), {
      ...this.#parts,
      former: decodeIdentity(this.#predecessor?.secret ?? ""),
      useCertificate: (pair) => this.#dataPlane.useCertificate(pair),
      nodeId: this.#nodeId(),
      inbound: this.#advertised(),
      adminAddress: addressText(this.#servers.get("admin") ?? flags.admin),
      configuration: this.#configuration,
      log: log.child("agent"),
    });
    this.#link.start();
  }

  /** Resolves when there is something to run on. */
  async #configured(): Promise<void> {
    const { flags, connect, log } = this.#parts;
    const configuration = this.#configuration;
    if (configuration.source === "disk") {
      const { version = "" } = configuration.received ?? {};
      log.info("serving the last configuration from disk until the manager answers", { version });
    }
    if (connect === undefined) await configuration.useStatic();
    if (flags.upstreams.length > 0) {
      await this.#atMost(MANAGER_GRACE_MS, configuration.inForce);
      await configuration.useStatic();
    }
    while (configuration.source === "none" && !this.#isEnding) {
      await this.#atMost(WAITING_NOTE_MS, configuration.inForce);
      if (configuration.source !== "none" || this.#isEnding) break;
      log.warn("waiting for a first configuration", { manager: flags.manager ?? "" });
    }
    await this.#atMost(MANAGER_GRACE_MS, this.#link?.settled ?? Promise.resolve());
    await this.#atMost(MANAGER_GRACE_MS, this.#dataPlane.ready());
  }

  async #goLive(): Promise<void> {
    const { flags, log } = this.#parts;
    if (this.#predecessor !== undefined) await this.#succeed(this.#predecessor);
    this.#state = "live";
    const listeners = this.#listeners().map(({ name, address }) => [name, address]);
    log.info("ready", Object.fromEntries(listeners));
    if (flags.service !== "" && flags.app === undefined && flags.mode === "sidecar") {
      log.info("without --app-port nobody calls it through the mesh", { service: flags.service });
    }
    if (flags.command.length > 0) this.#startApplication();
    else await this.#offer();
  }

  /** The predecessor drains from here on, and gives the ports of admin and readiness free. */
  async #succeed(predecessor: Handover): Promise<void> {
    await this.#dataPlane.resumeAccept();
    await predecessor.complete();
    this.#predecessor = undefined;
    const { clock } = this.#parts;
    const deadline = clock.nowMs() + TAKE_OVER_MS;
    for (;;) {
      try {
        return await this.#bindServers();
      } catch (thrown) {
        if (clock.nowMs() > deadline) throw thrown;
        await this.#pause(REBIND_MS);
      }
    }
  }

  /** An application belongs to the process that started it, so such a proxy has no successor. */
  async #offer(): Promise<void> {
    const { flags, log } = this.#parts;
    try {
      await mkdir(flags.stateDir, { recursive: true, mode: 0o700 });
      this.#succession = offerListeners({
        path: handoverPath(flags),
        listeners: () => this.#dataPlane.offered(),
        secret: () => encodeIdentity(this.#link?.credential.pair),
        onTaken: () => this.end({ at: "successor" }),
      });
    } catch (thrown) {
      log.warn("a successor cannot take over without failed requests", { reason: String(thrown) });
    }
  }

  #startApplication(): void {
    const { flags, environment, wrapper, clock, log } = this.#parts;
    const outbound = this.#dataPlane.address("outbound") ?? flags.outbound;
    this.#application = new Application({
      command: flags.command,
      environment: applicationEnvironment(environment, outbound),
      wrapper,
      clock,
    });
    const fault = this.#application.start();
    if (fault !== undefined) log.error(fault);
    void this.#application.exited.then((code) => {
      if (!this.#isEnding) this.end({ at: "application", code });
    });
  }

  async #end(ending: Ending): Promise<number> {
    this.#state = "draining";
    switch (ending.at) {
      case "successor":
        return await this.#handOver();
      case "application":
        await this.#leave();
        await this.#drain(true, Math.min(this.#drainMs(), APPLICATION_GONE_MS));
        return ending.code;
      case "signal":
        return await this.#stop(ending.applicationHasIt ? undefined : ending.signal);
      default:
        return ending satisfies never;
    }
  }

  async #handOver(): Promise<number> {
    this.#link?.abandon();
    this.#dataPlane.closeDns();
    await this.#stopServers();
    this.#parts.log.info("a successor has the ports; draining");
    await this.#drain(true, this.#drainMs());
    return 0;
  }

  async #stop(signal: NodeJS.Signals | undefined): Promise<number> {
    this.#parts.log.info("stopping");
    if (await this.#leave()) await this.#pause(PROPAGATION_MS);
    const application = this.#application;
    await this.#drain(application?.running !== true, this.#drainMs());
    if (application === undefined) return 0;
    void this.#hurry.promise.then(() => application.signal("SIGKILL"));
    const code = await application.stop(signal, this.#drainMs());
    await this.#orHurry(this.#dataPlane.drainOutbound(0));
    return code;
  }

  /** For running exchanges, and then for the application. */
  #drainMs(): number {
    const own = this.#parts.flags.drainMs;
    const ofMesh = this.#configuration.received?.settings?.drainMs;
    return own ?? (ofMesh || DRAIN_MS);
  }

  /** True: callers knew of us, and have been told. */
  async #leave(): Promise<boolean> {
    const withdrawn = this.#link?.withdraw() ?? Promise.resolve(false);
    return (await this.#orHurry(withdrawn)) ?? false;
  }

  async #drain(both: boolean, deadlineMs: number): Promise<void> {
    const outbound = both ? this.#dataPlane.drainOutbound(deadlineMs) : undefined;
    await this.#orHurry(Promise.all([this.#dataPlane.drainInbound(deadlineMs), outbound]));
  }

  async #close(): Promise<void> {
    this.#tidying.close();
    this.#process.stop();
    this.#succession?.close();
    this.#predecessor?.discard();
    await this.#link?.close();
    await this.#configuration.close();
    await this.#stopServers();
    await this.#dataPlane.close();
  }

  async #stopServers(): Promise<void> {
    const servers = [...this.#servers.values()];
    this.#servers.clear();
    await this.#atMost(LAST_ANSWERS_MS, Promise.all(servers.map((server) => server.stop())));
    for (const server of servers) server.abort();
  }

  #orHurry<T>(work: Promise<T>): Promise<T | undefined> {
    return Promise.race([work, this.#hurry.promise.then(() => undefined)]);
  }

  #pause(ms: number): Promise<void> {
    return this.#atMost(ms, new Promise(() => {}));
  }

  /** Until the work is done, the time is over, or somebody is in a hurry. */
  async #atMost(ms: number, work: Promise<unknown> | undefined): Promise<void> {
    const time = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(ms, time.resolve);
    await Promise.race([work, time.promise, this.#hurry.promise]);
    cancel();
  }

  /** Roots as the last configuration has them, which follows them at once. */
  #managerAccess(): ManagerAccess {
    const trust = () => this.#configuration.received?.trust ?? this.#link?.credential.trust;
    const { managerRoots } = this.#parts.flags.credential;
    const file = managerRoots === undefined ? undefined : new RootFile(managerRoots);
    return {
      certificate: () => this.#link?.credential.pair,
      roots: () => [...(trust()?.rootPems ?? []), ...(file?.pems ?? [])],
      trustDomain: () => trust()?.trustDomain ?? "",
      onUnknown: () => this.#link?.credential.doubt(),
    };
  }

  #credential() {
    return this.#link?.credential.status();
  }

  #advertised(): HostPort | undefined {
    const bound = this.#dataPlane.address("inbound");
    if (bound === undefined) return undefined;
    return { hostname: advertisedAddress(this.#parts.flags), port: bound.port };
  }

  /** Made when the inbound port is known. */
  #nodeId(): string {
    const { flags, random } = this.#parts;
    const advertised = this.#advertised();
    this.#id ??= nodeId(flags, advertised === undefined ? "" : addressText(advertised), random);
    return this.#id;
  }

  #listeners(): ListenerView[] {
    const servers = [...this.#servers].map(([name, at]) => ({ name, address: addressText(at) }));
    return [...this.#dataPlane.listeners(), ...servers];
  }

  #readiness(): Readiness {
    if (this.#state === "draining") return { ready: false, reason: "draining" };
    if (this.#unhealthy) return { ready: false, reason: "made to fail by /healthcheck/fail" };
    if (this.#state === "live") return { ready: true, reason: "LIVE" };
    return { ready: false, reason: "waiting for a first configuration" };
  }

  #view(): ProxyView {
    const { flags, version, log, clock } = this.#parts;
    const { service, namespace, labels } = flags;
    const openedMs = clock.nowMs();
    return {
      node: { id: this.#nodeId(), service, namespace, labels, version },
      log,
      startedMs: clock.wallMs(),
      uptimeMs: () => clock.nowMs() - openedMs,
      listeners: () => this.#listeners(),
      config: () => this.#configuration.config,
      clusters: () => this.#dataPlane.clusters(),
      configSource: () => this.#configuration.source,
      discovery: () => this.#link?.discovery(),
      registration: () => this.#link?.registration(),
      credential: () => this.#credential(),
      readiness: () => this.#readiness(),
      metrics: async (ownOnly) =>
        renderPrometheus(
          this.#dataPlane.registries(),
          ownOnly ? [] : await this.#dataPlane.policy.families(),
        ),
      policy: () => this.#dataPlane.policy.view(),
      denials: (id) => this.#dataPlane.access.denials(id),
      tap: (listener) => this.#dataPlane.accessLog.tap(listener),
      taps: () => this.#dataPlane.accessLog.taps,
      failHealthcheck: (failed) => {
        this.#unhealthy = failed;
      },
      drain: () => {
        this.#unhealthy = true;
        void this.#leave();
      },
      quit: () => this.end({ at: "signal", signal: "SIGTERM", applicationHasIt: false }),
    };
  }
}
