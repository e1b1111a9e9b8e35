/**
 * The less busy of two taken by chance: nearly as even as looking at all, at the price of two
 * (Mitzenmacher's power of two choices). With unequal weights, or while somebody warms up, it is
 * Envoy's rule instead: weighted round robin with weight / (active + 1) ^ bias.
 */
import type { Clock } from "../../../core/clock.ts";
import type { Random } from "../../../core/random.ts";
import type { Endpoint } from "../endpoint.ts";
import { areEqual, type Balancer } from "./balancer.ts";
import { DeadlineQueue } from "./deadline-queue.ts";
import { type SlowStart, warmth, warmUntilMs } from "./slow-start.ts";

export interface LeastRequestParts {
  readonly random: Random;
  readonly clock: Clock;
  readonly slowStart: SlowStart | undefined;
  /** How much load counts beside weight: 0 not at all, 1 in proportion. */
  readonly bias: number;
}

export class LeastRequest implements Balancer {
  readonly #parts: LeastRequestParts;
  #endpoints: readonly Endpoint[] = [];
  #weights: Float64Array = new Float64Array(0);
  #queue: DeadlineQueue | undefined;
  #warmUntilMs = 0;

  constructor(parts: LeastRequestParts) {
    this.#parts = parts;
  }

  rotate(endpoints: readonly Endpoint[], weights: Float64Array): void {
    const { clock, slowStart } = this.#parts;
    this.#endpoints = endpoints;
    this.#weights = weights;
    const nowMs = clock.nowMs();
    this.#warmUntilMs = warmUntilMs(endpoints, slowStart, nowMs);
    this.#arrange(nowMs);
  }

  pick(): Endpoint | undefined {
    const queue = this.#queue;
    if (queue !== undefined) return this.#pickDue(queue);
    const endpoints = this.#endpoints;
    const count = endpoints.length;
    if (count < 2) return endpoints[0];
    // One random number chooses an ordered pair of different places.
    const pair = Math.floor(this.#parts.random() * count * (count - 1));
    const first = Math.floor(pair / (count - 1));
    const rest = pair - first * (count - 1);
    const a = endpoints[first]!;
    const b = endpoints[rest < first ? rest : rest + 1]!;
    return b.active < a.active ? b : a;
  }

  #pickDue(queue: DeadlineQueue): Endpoint {
    const member = queue.first;
    const nowMs = this.#warmUntilMs === 0 ? 0 : this.#parts.clock.nowMs();
    queue.took(this.#weightOf(member, nowMs));
    if (this.#warmUntilMs !== 0 && nowMs >= this.#warmUntilMs) {
      this.#warmUntilMs = 0;
      this.#arrange(nowMs);
    }
    return this.#endpoints[member]!;
  }

  #arrange(nowMs: number): void {
    const count = this.#endpoints.length;
    const plain = this.#warmUntilMs === 0 && areEqual(this.#weights);
    this.#queue =
      plain || count < 2
        ? undefined
        : new DeadlineQueue(count, (member) => this.#weightOf(member, nowMs), this.#parts.random);
  }

  #weightOf(member: number, nowMs: number): number {
    const { bias, slowStart } = this.#parts;
    const endpoint = this.#endpoints[member]!;
    const busy = endpoint.active + 1;
    const weight = this.#weights[member]! / (bias === 1 ? busy : busy ** bias);
    return this.#warmUntilMs === 0 ? weight : weight * warmth(endpoint, slowStart!, nowMs);
  }
}
