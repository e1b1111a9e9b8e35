/** Each in turn; with weights, or while somebody warms up, as often as its weight says. */
import type { Clock } from "../../../core/clock.ts";
import type { Random } from "../../../core/random.ts";
import type { Endpoint } from "../endpoint.ts";
import { areEqual, type Balancer, below } from "./balancer.ts";
import { DeadlineQueue } from "./deadline-queue.ts";
import { type SlowStart, warmth, warmUntilMs } from "./slow-start.ts";

export class RoundRobin implements Balancer {
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #slowStart: SlowStart | undefined;
  #endpoints: readonly Endpoint[] = [];
  #weights: Float64Array = new Float64Array(0);
  #queue: DeadlineQueue | undefined;
  #warmUntilMs = 0;
  #next = 0;

  constructor(random: Random, clock: Clock, slowStart: SlowStart | undefined) {
    this.#random = random;
    this.#clock = clock;
    this.#slowStart = slowStart;
  }

  /** Starts anywhere, so that many proxies do not begin with the same endpoint. */
  rotate(endpoints: readonly Endpoint[], weights: Float64Array): void {
    this.#endpoints = endpoints;
    this.#weights = weights;
    this.#next = below(endpoints.length, this.#random);
    const nowMs = this.#clock.nowMs();
    this.#warmUntilMs = warmUntilMs(endpoints, this.#slowStart, nowMs);
    this.#arrange(nowMs);
  }

  pick(): Endpoint | undefined {
    const queue = this.#queue;
    if (queue !== undefined) return this.#pickDue(queue);
    const at = this.#next;
    this.#next = at + 1 >= this.#endpoints.length ? 0 : at + 1;
    return this.#endpoints[at];
  }

  #pickDue(queue: DeadlineQueue): Endpoint {
    const member = queue.first;
    if (this.#warmUntilMs === 0) {
      queue.took(this.#weights[member]!);
      return this.#endpoints[member]!;
    }
    const nowMs = this.#clock.nowMs();
    queue.took(this.#weightOf(member, nowMs));
    if (nowMs >= this.#warmUntilMs) {
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
        : new DeadlineQueue(count, (member) => this.#weightOf(member, nowMs), this.#random);
  }

  #weightOf(member: number, nowMs: number): number {
    const weight = this.#weights[member]!;
    if (this.#warmUntilMs === 0) return weight;
    return weight * warmth(this.#endpoints[member]!, this.#slowStart!, nowMs);
  }
}
