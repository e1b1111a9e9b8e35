/**
 * Chooses the endpoint of a try: among those that may be used, in the tier whose turn it is, by the
 * cluster's way of balancing.
 *
 *   rotate(endpoints) ─▶ tiers by locality ─▶ health, panic ─▶ a Balancer for each tier in use
 *   pick(avoid, hash) ─▶ tier ─▶ Balancer ─▶ another one, if it is `avoid` or full
 *
 * rotate() is for every change of endpoints or of their health; pick() runs for each try and
 * allocates nothing.
 */
import type { Clock } from "../../../core/clock.ts";
import type { Random } from "../../../core/random.ts";
import type { Endpoint } from "../endpoint.ts";
import { type Balancer, below, type LoadBalancerKind, NO_HASH } from "./balancer.ts";
import { HashRing, type RingPolicy } from "./hash-ring.ts";
import { LeastRequest } from "./least-request.ts";
import { distributionFor, isWithin, type LocalityPolicy, priorityOf } from "./locality.ts";
import { MAGLEV_SIZE, Maglev } from "./maglev.ts";
import { type EwmaPolicy, PeakEwma } from "./peak-ewma.ts";
import { RandomChoice } from "./random-choice.ts";
import { RoundRobin } from "./round-robin.ts";
import type { SlowStart } from "./slow-start.ts";
import { sharesOf } from "./tiers.ts";

/** How a cluster balances, beside its kind; an absent field is the default. */
export interface BalancingPolicy {
  /** 0..100; 50 unless told. 0: endpoints that are out of rotation are never used. */
  readonly panicPercent?: number;
  readonly slowStart?: SlowStart;
  /** Of least request with weights; 1 unless told. */
  readonly activeBias?: number;
  readonly ewma?: EwmaPolicy;
  readonly ring?: RingPolicy;
  /** A prime; 65,537 unless told. */
  readonly maglevSize?: number;
  /** Absent: all localities are alike. */
  readonly locality?: LocalityPolicy;
}

export interface LoadBalancerParts {
  readonly kind: LoadBalancerKind;
  readonly policy: BalancingPolicy;
  readonly random: Random;
  readonly clock: Clock;
  /** "region/zone/subzone" of the proxy; empty: unknown, all localities are alike. */
  readonly ownLocality: string;
}

export const defaultEwma: EwmaPolicy = { defaultRttMs: 1_000, decayMs: 10_000, penaltyMs: 5_000 };
const defaultRing: RingPolicy = { pointsMin: 1_024, pointsMax: 8_388_608 };
const PANIC_PERCENT = 50;

interface Tier {
  readonly balancer: Balancer;
  readonly members: readonly Endpoint[];
  /** Of 1: chances of this tier and those before it. */
  readonly upTo: number;
}

export class LoadBalancer {
  readonly kind: LoadBalancerKind;
  readonly #parts: LoadBalancerParts;
  /** By priority, kept over rotations: a balancer goes on where it was. */
  readonly #balancers: Balancer[] = [];
  #tiers: readonly Tier[] = [];
  #panics = false;

  constructor(parts: LoadBalancerParts) {
    this.kind = parts.kind;
    this.#parts = parts;
  }

  /** Some tier uses endpoints that are out of rotation. */
  get panics(): boolean {
    return this.#panics;
  }

  /** All endpoints of the cluster, healthy or not. */
  rotate(endpoints: readonly Endpoint[]): void {
    const { policy } = this.#parts;
    const groups = this.#byPriority(endpoints);
    const healthy = groups.map((group) => group.filter(({ inRotation }) => inRotation));
    const shares = sharesOf(
      groups.map((group, i) => ({ healthy: healthy[i]!.length, members: group.length })),
      policy.panicPercent ?? PANIC_PERCENT,
    );
    this.#panics = shares.some(({ panics }) => panics);
    let upTo = 0;
    const tiers: Tier[] = [];
    for (const [priority, { percent, panics }] of shares.entries()) {
      const members = panics ? groups[priority]! : healthy[priority]!;
      const [used, weights] = this.#weighted(members, groups[priority]!);
      if (percent === 0 || used.length === 0) continue;
      upTo += percent / 100;
      const balancer = this.#balancerAt(priority);
      balancer.rotate(used, weights);
      tiers.push({ balancer, members: used, upTo });
    }
    this.#tiers = tiers;
  }

  /** An endpoint to use; another than `avoid`, and one that is not full, if there is one. */
  pick(avoid: Endpoint | undefined, hash: number = NO_HASH): Endpoint | undefined {
    const tiers = this.#tiers;
    if (tiers.length === 0) return undefined;
    const tier = tiers.length === 1 ? tiers[0]! : this.#tierFor(hash);
    const picked = tier.balancer.pick(avoid, hash);
    if (picked === undefined) return undefined;
    if (picked !== avoid && picked.active < picked.requestsMax) return picked;
    return this.#another(tier, picked, avoid);
  }

  /** The same hash falls into the same tier. */
  #tierFor(hash: number): Tier {
    const at = hash === NO_HASH ? this.#parts.random() : hash / 4_294_967_296;
    for (const tier of this.#tiers) if (at < tier.upTo) return tier;
    return this.#tiers.at(-1)!;
  }

  /** From a random place onwards, the first that will do; else in another tier; else `picked`. */
  #another(tier: Tier, picked: Endpoint, avoid: Endpoint | undefined): Endpoint {
    const here = this.#otherIn(tier, avoid);
    if (here !== undefined) return here;
    for (const other of this.#tiers) {
      const there = other === tier ? undefined : this.#otherIn(other, avoid);
      if (there !== undefined) return there;
    }
    return picked;
  }

  #otherIn({ members }: Tier, avoid: Endpoint | undefined): Endpoint | undefined {
    const start = below(members.length, this.#parts.random);
    let full: Endpoint | undefined;
    for (let i = 0; i < members.length; i++) {
      const endpoint = members[(start + i) % members.length]!;
      if (endpoint === avoid) continue;
      if (endpoint.active < endpoint.requestsMax) return endpoint;
      full ??= endpoint;
    }
    // A retry goes elsewhere even when elsewhere is full: it is refused there with the reason.
    return avoid === undefined ? undefined : full;
  }

  #byPriority(endpoints: readonly Endpoint[]): Endpoint[][] {
    const { policy, ownLocality } = this.#parts;
    const { locality } = policy;
    if (locality === undefined || ownLocality === "") return [[...endpoints]];
    if (distributionFor(ownLocality, locality) !== undefined) return [[...endpoints]];
    const groups: Endpoint[][] = [[], [], [], [], []];
    for (const endpoint of endpoints)
      groups[priorityOf(ownLocality, endpoint.facts.locality, locality)]!.push(endpoint);
    return groups.filter((group) => group.length > 0);
  }

  /** Who of a tier is used, and with which weights. `all`: its members, healthy or not. */
  #weighted(
    members: readonly Endpoint[],
    all: readonly Endpoint[],
  ): readonly [readonly Endpoint[], Float64Array] {
    const { policy, ownLocality } = this.#parts;
    const parts =
      policy.locality === undefined ? undefined : distributionFor(ownLocality, policy.locality);
    if (parts === undefined || ownLocality === "")
      return [members, Float64Array.from(members, ({ weight }) => weight)];
    return distribute(members, all, parts.to);
  }

  #balancerAt(priority: number): Balancer {
    const balancer = this.#balancers[priority] ?? makeBalancer(this.#parts);
    this.#balancers[priority] = balancer;
    return balancer;
  }
}

/** Each place gets its part, less what of it is unhealthy; nobody elsewhere gets anything. */
function distribute(
  members: readonly Endpoint[],
  all: readonly Endpoint[],
  parts: readonly { readonly place: string; readonly weight: number }[],
): readonly [readonly Endpoint[], Float64Array] {
  const used: Endpoint[] = [];
  const weights: number[] = [];
  const left = new Set(members);
  for (const { place, weight } of parts) {
    const isHere = ({ facts }: Endpoint): boolean => isWithin(facts.locality, place);
    const here = [...left].filter(isHere);
    const capacity = Math.min(1, (1.4 * here.length) / Math.max(1, all.filter(isHere).length));
    const total = here.reduce((sum, endpoint) => sum + endpoint.weight, 0);
    for (const endpoint of here) {
      left.delete(endpoint);
      used.push(endpoint);
      weights.push((weight * capacity * endpoint.weight) / total);
    }
  }
  return [used, Float64Array.from(weights)];
}

function makeBalancer({ kind, policy, random, clock }: LoadBalancerParts): Balancer {
  const { slowStart } = policy;
  switch (kind) {
    case "round-robin":
      return new RoundRobin(random, clock, slowStart);
    case "random":
      return new RandomChoice(random, clock, slowStart);
    case "least-request":
      return new LeastRequest({ random, clock, slowStart, bias: policy.activeBias ?? 1 });
    case "peak-ewma":
      return new PeakEwma(random, clock, policy.ewma ?? defaultEwma, slowStart);
    case "ring-hash":
      return new HashRing(random, policy.ring ?? defaultRing);
    case "maglev":
      return new Maglev(random, policy.maglevSize ?? MAGLEV_SIZE);
    default:
      return kind satisfies never;
  }
}
