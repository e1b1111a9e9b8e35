/**
 * Makes this workload known to the mesh for as long as its application answers and this proxy runs.
 *
 *   waiting ──application answers──▶ registered ──every TTL/3, at each change of health──▶ renew
 *      ▲                                 │ NOT_FOUND: the lease ended, or the manager is a new one
 *      └── fault: backoff ◀──────────────┘──withdraw()──▶ withdrawn
 *
 * A fault of the manager is no news about the workload: it is retried, and nothing else changes.
 */
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { callFault } from "../../api/discovery/call-fault.ts";
import { within } from "../../api/discovery/time-limit.ts";
import { type Lease, RegistryService, type Workload } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { backoffMs } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";

const CALL_TIMEOUT_MS = 5000;
const WITHDRAW_TIMEOUT_MS = 1000;
const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 2000;
const TTL_MIN_MS = 300;

export interface RegistrationOptions {
  readonly transport: Transport;
  /** `healthy` is ours to fill in. */
  readonly workload: Workload;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface RegistrationStatus {
  readonly at: "waiting" | "registered" | "withdrawn";
  readonly healthy: boolean;
  readonly faults: number;
}

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #client: Client<typeof RegistryService>;
  #at: RegistrationStatus["at"] = "waiting";
  #healthy = false;
  #workload: Workload;
  #lease: Lease | undefined;
  /** A call is under way; what changed meanwhile is told by the next one. */
  #busy: Promise<void> | undefined;
  #stale = false;
  /** The manager knows it as it was. */
  #isChanged = false;
  #attempt = 0;
  #faults = 0;
  #cancelTimer: () => void = () => {};

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#workload = options.workload;
    this.#client = createClient(RegistryService, options.transport);
  }

  status(): RegistrationStatus {
    return { at: this.#at, healthy: this.#healthy, faults: this.#faults };
  }

  /** Whether the application answers, as last probed. */
  setHealthy(healthy: boolean): void {
    if (healthy === this.#healthy) return;
    this.#healthy = healthy;
    this.refresh();
  }

  /** Something of the workload is another from now on: it is registered anew, under its id. */
  become(change: Partial<Pick<Workload, "mutualTls" | "serviceAccount">>): void {
    const same = Object.entries(change).every(
      ([name, value]) => this.#workload[name as keyof typeof change] === value,
    );
    if (same) return;
    this.#workload = { ...this.#workload, ...change };
    this.#isChanged = true;
    this.refresh();
  }

  /** Tells the manager at once: it may be a new one, which knows nothing of us. */
  refresh(): void {
    if (this.#at === "withdrawn") return;
    if (this.#busy !== undefined) {
      this.#stale = true;
      return;
    }
    // An application that has never answered is not a member yet.
    if (this.#lease === undefined && !this.#healthy) return;
    this.#cancelTimer();
    this.#stale = false;
    this.#busy = this.#call();
  }

  /** Nobody new is sent here from when this resolves; a manager that is away is not waited for. */
  async withdraw(): Promise<boolean> {
    this.#at = "withdrawn";
    this.#cancelTimer();
    await this.#settled();
    const leaseId = this.#lease?.id;
    if (leaseId === undefined) return false;
    try {
      await within(this.#options.clock, WITHDRAW_TIMEOUT_MS, (signal) =>
        this.#client.withdraw({ leaseId }, { signal }),
      );
      return true;
    } catch (thrown) {
      this.#options.log.warn("not withdrawn; the lease will end by itself", {
        reason: callFault(thrown),
      });
      return false;
    }
  }

  /** A successor has the registration now. */
  abandon(): void {
    this.#at = "withdrawn";
    this.#cancelTimer();
  }

  /** The call under way has ended, or is not worth waiting for. */
  #settled(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(WITHDRAW_TIMEOUT_MS, resolve);
      void (this.#busy ?? Promise.resolve()).then(() => {
        cancel();
        resolve();
      });
    });
  }

  async #call(): Promise<void> {
    let waitMs: number;
    try {
      const isKnown = this.#lease !== undefined && !this.#isChanged;
      this.#lease = isKnown ? await this.#renew() : await this.#register();
      this.#attempt = 0;
      waitMs = Math.max(this.#lease.ttlMs, TTL_MIN_MS) / 3;
      if (this.#at === "waiting") this.#at = "registered";
    } catch (thrown) {
      waitMs = this.#failed(thrown);
    }
    this.#busy = undefined;
    if (this.#at === "withdrawn") return;
    if (this.#stale) this.refresh();
    else this.#cancelTimer = this.#options.clock.after(waitMs, () => this.refresh());
  }

  async #register(): Promise<Lease> {
    const told = this.#workload;
    const workload = { ...told, healthy: this.#healthy };
    const lease = await within(this.#options.clock, CALL_TIMEOUT_MS, (signal) =>
      this.#client.register({ workload }, { signal }),
    );
    this.#isChanged = this.#workload !== told;
    this.#options.log.info("registered", {
      workload: workload.id,
      service: workload.service,
      address: `${workload.address}:${workload.port}`,
    });
    return lease;
  }

  async #renew(): Promise<Lease> {
    const request = { leaseId: this.#lease!.id, healthy: this.#healthy };
    const lease = await within(this.#options.clock, CALL_TIMEOUT_MS, (signal) =>
      this.#client.renew(request, { signal }),
    );
    return { ...lease, id: lease.id === "" ? request.leaseId : lease.id };
  }

  /** Returns how long to wait before the next try. */
  #failed(thrown: unknown): number {
    this.#faults++;
    if (ConnectError.from(thrown).code === Code.NotFound && this.#lease !== undefined) {
      this.#lease = undefined;
      return 0;
    }
    const log = this.#options.log;
    const fields = { reason: callFault(thrown) };
    if (this.#attempt === 0) log.warn("the registry does not answer; trying on", fields);
    else log.debug("the registry still does not answer", fields);
    return backoffMs(this.#attempt++, RETRY_BASE_MS, RETRY_MAX_MS, this.#options.random);
  }
}
