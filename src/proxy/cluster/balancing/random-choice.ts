/** Any of them, as its weight says; one that warms up lets others have its turn. */
import type { Clock } from "../../../core/clock.ts";
import type { Random } from "../../../core/random.ts";
import type { Endpoint } from "../endpoint.ts";
import { AliasTable } from "./alias-table.ts";
import { areEqual, type Balancer, below } from "./balancer.ts";
import { type SlowStart, warmth, warmUntilMs } from "./slow-start.ts";

/** Choices that a warming endpoint may turn down before it has to take one. */
const REFUSALS_MAX = 16;

export class RandomChoice implements Balancer {
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #slowStart: SlowStart | undefined;
  #endpoints: readonly Endpoint[] = [];
  #table: AliasTable | undefined;
  #warmUntilMs = 0;

  constructor(random: Random, clock: Clock, slowStart: SlowStart | undefined) {
    this.#random = random;
    this.#clock = clock;
    this.#slowStart = slowStart;
  }

  rotate(endpoints: readonly Endpoint[], weights: Float64Array): void {
    this.#endpoints = endpoints;
    this.#table = areEqual(weights) ? undefined : new AliasTable(weights);
    this.#warmUntilMs = warmUntilMs(endpoints, this.#slowStart, this.#clock.nowMs());
  }

  pick(): Endpoint | undefined {
    return this.#warmUntilMs === 0 ? this.#pickAny() : this.#pickWarm();
  }

  #pickAny(): Endpoint | undefined {
    const table = this.#table;
    if (table !== undefined) return this.#endpoints[table.pick(this.#random)];
    return this.#endpoints[below(this.#endpoints.length, this.#random)];
  }

  #pickWarm(): Endpoint | undefined {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#warmUntilMs) this.#warmUntilMs = 0;
    let picked = this.#pickAny();
    for (let i = 0; i < REFUSALS_MAX && picked !== undefined; i++) {
      if (this.#random() < warmth(picked, this.#slowStart!, nowMs)) break;
      picked = this.#pickAny();
    }
    return picked;
  }
}
