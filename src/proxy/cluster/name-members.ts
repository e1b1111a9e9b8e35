/**
 * Keeps a cluster's endpoints equal to what their DNS names stand for.
 *
 * Each name is asked again when its answer has aged; while it cannot be resolved its last answer
 * stays, and it is asked again soon. Addresses of all names together are the cluster's endpoints.
 */
import { backoffMs } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { EndpointSpec, Membership } from "./membership.ts";

/** One answer of the name service. */
export interface ResolvedAddress {
  readonly address: string;
  readonly ttlMs: number;
}

/** Rejects, or answers nothing, if the name is unknown. */
export type ResolveName = (name: string) => Promise<readonly ResolvedAddress[]>;

export interface ResolutionParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly resolve: ResolveName;
}

/** Resolvers that know of no TTL say 0. */
const REFRESH_MS_MIN = 5_000;
const REFRESH_MS_MAX = 300_000;
const RETRY_MS = 500;
const RETRY_MS_MAX = 30_000;

interface Name {
  readonly spec: EndpointSpec;
  addresses: readonly string[];
  failures: number;
  settled: boolean;
  cancel: (() => void) | undefined;
}

export class NameMembers {
  readonly #parts: ResolutionParts;
  readonly #membership: Membership;
  #names: readonly Name[] = [];
  #settled: Promise<void> = Promise.resolve();
  #settle: () => void = () => {};
  /** The endpoints are those from before, until every name has been asked once. */
  #keepsFormer = false;

  constructor(parts: ResolutionParts, membership: Membership) {
    this.#parts = parts;
    this.#membership = membership;
  }

  /** Resolved when every name has been answered or refused once. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  /** Follows these names from now on; those it follows already keep their answers. */
  resolve(specs: readonly EndpointSpec[]): void {
    const former = new Map(this.#names.map((name) => [keyOf(name.spec), name]));
    this.stop();
    this.#names = specs.map((spec) => {
      const known = former.get(keyOf(spec));
      const addresses = isAddress(spec.address) ? [spec.address] : (known?.addresses ?? []);
      return { spec, addresses, failures: 0, settled: addresses.length > 0, cancel: undefined };
    });
    this.#settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#keepsFormer = this.#membership.endpoints.length > 0;
    this.#publish();
    for (const name of this.#names) if (!isAddress(name.spec.address)) void this.#ask(name);
  }

  stop(): void {
    for (const name of this.#names) name.cancel?.();
    this.#names = [];
    this.#settle();
  }

  async #ask(name: Name): Promise<void> {
    name.cancel = undefined;
    const answer = await this.#answer(name.spec.address);
    if (!this.#names.includes(name)) return;
    name.settled = true;
    const waitMs = answer.length === 0 ? this.#refused(name) : accepted(name, answer);
    this.#publish();
    name.cancel = this.#parts.clock.after(waitMs, () => void this.#ask(name));
  }

  async #answer(name: string): Promise<readonly ResolvedAddress[]> {
    try {
      return await this.#parts.resolve(name);
    } catch {
      return [];
    }
  }

  #refused(name: Name): number {
    return backoffMs(name.failures++, RETRY_MS, RETRY_MS_MAX, this.#parts.random);
  }

  #publish(): void {
    const isSettled = this.#names.every(({ settled }) => settled);
    if (this.#keepsFormer && !isSettled) return;
    const specs = this.#names.flatMap(({ spec, addresses }) =>
      addresses.map((address) => ({ ...spec, address })),
    );
    this.#membership.replace(specs);
    if (isSettled) this.#settle();
  }
}

function accepted(name: Name, answer: readonly ResolvedAddress[]): number {
  name.failures = 0;
  name.addresses = [...new Set(answer.map(({ address }) => address))].sort();
  const ttlMs = Math.min(...answer.map((each) => each.ttlMs));
  return Math.min(REFRESH_MS_MAX, Math.max(REFRESH_MS_MIN, ttlMs));
}

function keyOf(spec: EndpointSpec): string {
  return `${spec.address} ${spec.port}`;
}

/** An IPv4 or IPv6 address needs no resolution. */
function isAddress(text: string): boolean {
  return text.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(text);
}
