/**
 * Workloads that told us of themselves, each for as long as its lease is renewed.
 *
 *   register ─▶ live ── renew ──▶ live          withdraw, or no renewal for a ttl ─▶ gone
 *
 * A manager that restarts gives everybody it knew a whole new lease, so no endpoint vanishes
 * because we were away; and where our own clock stood still (a stopped process, a laptop asleep),
 * leases are extended by the gap. A service stays known for an hour after its last workload went:
 * callers then get "no healthy upstream", not "never heard of it".
 */
import type { Workload } from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Service, ServiceInstance, ServicePort } from "../../model/service.ts";
import { compare } from "../order.ts";
import { fullHostName } from "../translate/host-name.ts";
import type { Registry } from "./registry.ts";
import { protocolOf } from "./workload-check.ts";
import type { KnownService, Registration, WorkloadStore } from "./workload-store.ts";

export const LOCAL_REGISTRY = "local";

const WORKLOADS_MAX = 50_000;
const SWEEP_MS = 500;
const SERVICE_MEMORY_MS = 60 * 60_000;

export interface LocalRegistryOptions {
  readonly clock: Clock;
  readonly domain: string;
  readonly leaseMs: number;
  readonly store: WorkloadStore;
  readonly onChange: () => void;
}

interface Live extends Registration {
  /** Full name of the service that it stands for. */
  readonly host: string;
  /** Of two at one address the later is the one that listens there. */
  readonly order: number;
  workload: Workload;
  endsMs: number;
}

export class LocalRegistry {
  readonly #options: LocalRegistryOptions;
  readonly #byLease = new Map<string, Live>();
  readonly #byWorkload = new Map<string, Live>();
  readonly #byHost = new Map<string, Set<Live>>();
  readonly #services = new Map<string, KnownService>();
  #registrations = 0;
  #sweptMs: number;
  #cancelSweep: () => void;

  constructor(options: LocalRegistryOptions) {
    this.#options = options;
    const { clock, store } = options;
    this.#sweptMs = clock.nowMs();
    for (const known of store.services()) this.#services.set(known.service.host, known);
    for (const registration of store.registrations()) this.#add(this.#live(registration));
    this.#cancelSweep = clock.after(SWEEP_MS, () => this.#sweep());
  }

  /**
   * A checked workload; `origin`: the join token by which it came, "": none. Undefined: too many
   * are registered.
   */
  register(workload: Workload, origin = ""): string | undefined {
    const former = this.#byWorkload.get(workload.id);
    if (former === undefined && this.#byLease.size >= WORKLOADS_MAX) return undefined;
    if (former !== undefined) this.#drop(former);
    const { store, onChange } = this.#options;
    const live = this.#live({ leaseId: crypto.randomUUID(), workload, origin });
    store.save(live);
    this.#add(live);
    this.#remember(live.host);
    onChange();
    return live.leaseId;
  }

  /** False: there is no such lease any more. */
  renew(leaseId: string, healthy: boolean): boolean {
    const live = this.#byLease.get(leaseId);
    if (live === undefined) return false;
    const { store, onChange } = this.#options;
    live.endsMs = this.#newEndMs();
    if (live.workload.healthy !== healthy) {
      live.workload = { ...live.workload, healthy };
      store.save(live);
      onChange();
    }
    return true;
  }

  withdraw(leaseId: string): void {
    const live = this.#byLease.get(leaseId);
    if (live === undefined) return;
    this.#drop(live);
    this.#options.onChange();
  }

  /** Ends what came by such join tokens. */
  withdrawOf(isRevoked: (origin: string) => boolean): void {
    const ended = [...this.#byLease.values()].filter(({ origin }) => isRevoked(origin));
    for (const live of ended) this.#drop(live);
    if (ended.length > 0) this.#options.onChange();
  }

  /** Who registered under this id. */
  workloadOf(workloadId: string): Workload | undefined {
    return this.#byWorkload.get(workloadId)?.workload;
  }

  /** Whose lease it is. */
  workloadByLease(leaseId: string): Workload | undefined {
    return this.#byLease.get(leaseId)?.workload;
  }

  /** Until the lease of a workload ends; 0: it has none. */
  leaseRemainingMs(workloadId: string): number {
    const live = this.#byWorkload.get(workloadId);
    if (live === undefined) return 0;
    return Math.max(1, Math.round(live.endsMs - this.#options.clock.nowMs()));
  }

  view(): Registry {
    const byAddress = new Map<string, Live>();
    for (const live of this.#byWorkload.values()) {
      const { address, port, servicePort } = live.workload;
      const key = `${live.host}|${servicePort}|${address}|${port}`;
      if ((byAddress.get(key)?.order ?? 0) < live.order) byAddress.set(key, live);
    }
    const instances = [...byAddress.values()]
      .sort((a, b) => compare(a.workload.id, b.workload.id))
      .map(instanceOf);
    const services = [...this.#services.values()].map(({ service }) => service);
    return { services, instances, origins: new Map() };
  }

  close(): void {
    this.#cancelSweep();
    this.#options.store.close();
  }

  #add(live: Live): void {
    this.#byLease.set(live.leaseId, live);
    this.#byWorkload.set(live.workload.id, live);
    const others = this.#byHost.get(live.host) ?? new Set();
    this.#byHost.set(live.host, others.add(live));
  }

  #drop(live: Live): void {
    this.#byLease.delete(live.leaseId);
    this.#byWorkload.delete(live.workload.id);
    this.#byHost.get(live.host)?.delete(live);
    this.#options.store.remove(live.leaseId);
    this.#remember(live.host);
  }

  /** What a service is follows from who stands for it; with nobody left, the last form stays. */
  #remember(host: string): void {
    const workloads = [...(this.#byHost.get(host) ?? [])].map(({ workload }) => workload);
    const former = this.#services.get(host);
    const service = workloads.length === 0 ? former?.service : this.#serviceOf(host, workloads);
    if (service === undefined) return;
    const known = { service, seenMs: this.#options.clock.wallMs() };
    this.#services.set(host, known);
    this.#options.store.saveService(known);
  }

  #sweep(): void {
    const { clock, onChange } = this.#options;
    const now = clock.nowMs();
    const stoodStillMs = now - this.#sweptMs - SWEEP_MS;
    this.#sweptMs = now;
    if (stoodStillMs > SWEEP_MS)
      for (const live of this.#byLease.values()) live.endsMs += stoodStillMs;
    const ended = [...this.#byLease.values()].filter(({ endsMs }) => endsMs <= now);
    for (const live of ended) this.#drop(live);
    if (this.#forgetServices() || ended.length > 0) onChange();
    this.#cancelSweep = clock.after(SWEEP_MS, () => this.#sweep());
  }

  #forgetServices(): boolean {
    const before = this.#options.clock.wallMs() - SERVICE_MEMORY_MS;
    const old = [...this.#services.values()].filter(({ seenMs }) => seenMs < before);
    if (old.length === 0) return false;
    const forgotten = old.filter(({ service: { host } }) => !this.#byHost.get(host)?.size);
    for (const { service } of forgotten) {
      this.#services.delete(service.host);
      this.#byHost.delete(service.host);
      this.#options.store.removeService(service.host);
    }
    return forgotten.length > 0;
  }

  #hostOf({ service, namespace }: Workload): string {
    return fullHostName(service, namespace, this.#options.domain);
  }

  #serviceOf(host: string, workloads: readonly Workload[]): Service {
    const ports = new Map<number, ServicePort>();
    for (const workload of workloads.toSorted((a, b) => compare(a.id, b.id))) {
      const number = workload.servicePort || workload.port;
      const protocol = protocolOf(workload);
      if (!ports.has(number))
        ports.set(number, { name: `${protocol.toLowerCase()}-${number}`, number, protocol });
    }
    const labels = host.split(".");
    return {
      host,
      namespace: labels[2] === "svc" ? (labels[1] ?? "") : (workloads[0]?.namespace ?? ""),
      addresses: [],
      ports: [...ports.values()].sort((a, b) => a.number - b.number),
      resolution: "STATIC",
      external: false,
      registry: LOCAL_REGISTRY,
    };
  }

  #live(registration: Registration): Live {
    const host = this.#hostOf(registration.workload);
    return { ...registration, host, order: ++this.#registrations, endsMs: this.#newEndMs() };
  }

  #newEndMs(): number {
    return this.#options.clock.nowMs() + this.#options.leaseMs;
  }
}

function instanceOf({ host, workload }: Live): ServiceInstance {
  const { id, address, port, servicePort, labels, locality, weight, healthy } = workload;
  const { meshTransport, serviceAccount, mutualTls, appPort } = workload;
  return {
    host,
    address,
    port,
    servicePort: servicePort || port,
    labels,
    locality,
    weight: weight || 1,
    healthy,
    workload: id,
    meshTransport,
    ...(serviceAccount !== "" && { serviceAccount }),
    ...(mutualTls && { mutualTls }),
    ...(appPort > 0 && { appPort }),
  };
}
