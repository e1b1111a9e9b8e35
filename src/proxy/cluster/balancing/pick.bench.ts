/**
 * What one pick costs, by each way of balancing: `bun src/proxy/cluster/balancing/pick.bench.ts`.
 * All are measured in turns in one run; the least of many rounds is what a busy machine disturbs
 * least. "uneven": weights of 1 to 4. Slow start is on where it says so, and nobody warms up.
 */
import { systemClock } from "../../../core/clock.ts";
import { seededRandom } from "../../../core/random.ts";
import { endpointsOf } from "../../../testing/endpoint-sample.ts";
import { head } from "../../../testing/snapshot-sample.ts";
import type { LoadBalancerKind } from "./balancer.ts";
import { cookieRule, hashOf } from "./hash-policy.ts";
import { LoadBalancer } from "./load-balancer.ts";

const ROUNDS = 40;
const CALLS = 20_000;
const sizes = [10, 1_000] as const;
const kinds: readonly LoadBalancerKind[] = [
  "round-robin",
  "random",
  "least-request",
  "peak-ewma",
  "ring-hash",
  "maglev",
];

interface Case {
  readonly name: string;
  readonly run: () => number;
  best: number;
}

function caseOf(kind: LoadBalancerKind, size: number, uneven: boolean): Case {
  const clock = systemClock;
  const random = seededRandom(1);
  const balancer = new LoadBalancer({ kind, policy: {}, random, clock, ownLocality: "" });
  const weights = Array.from({ length: size }, (_, i) => (uneven ? 1 + (i & 3) : 1));
  balancer.rotate(endpointsOf(weights));
  let hash = 1;
  const run = (): number => {
    let found = 0;
    for (let i = 0; i < CALLS; i++) {
      hash = (Math.imul(hash, 1_664_525) + 1_013_904_223) >>> 0;
      const endpoint = balancer.pick(undefined, hash)!;
      endpoint.active++;
      found += endpoint.port;
      endpoint.active--;
    }
    return found;
  };
  return { name: `${kind}, ${size} ${uneven ? "uneven" : "equal"}`, run, best: Infinity };
}

const request = head("GET /", "accept: */*", "cookie: theme=dark; route=0123456789abcdef; a=b");
const policy = [cookieRule({ name: "route", ttlSeconds: 60, path: "/", attributes: [] })];
const cases: Case[] = [
  ...kinds.flatMap((kind) =>
    sizes.flatMap((size) => [caseOf(kind, size, false), caseOf(kind, size, true)]),
  ),
  {
    name: "hashOf a cookie",
    run() {
      let sum = 0;
      for (let i = 0; i < CALLS; i++) sum += hashOf(policy, request, "");
      return sum;
    },
    best: Infinity,
  },
];

for (let round = 0; round < ROUNDS; round++)
  for (const one of cases) {
    const start = Bun.nanoseconds();
    if (one.run() === 0) throw new Error("nobody was picked");
    one.best = Math.min(one.best, (Bun.nanoseconds() - start) / CALLS);
  }
for (const { name, best } of cases)
  console.log(`${name.padEnd(28)}${best.toFixed(1).padStart(8)} ns`);

for (const kind of ["ring-hash", "maglev"] as const)
  for (const size of sizes) {
    const parts = { kind, policy: {}, random: seededRandom(1), clock: systemClock };
    const balancer = new LoadBalancer({ ...parts, ownLocality: "" });
    const members = endpointsOf(Array.from({ length: size }, () => 1));
    let best = Infinity;
    for (let round = 0; round < 10; round++) {
      const start = Bun.nanoseconds();
      balancer.rotate(members);
      best = Math.min(best, (Bun.nanoseconds() - start) / 1e6);
    }
    console.log(`${`rotate ${kind}, ${size}`.padEnd(28)}${best.toFixed(2).padStart(8)} ms`);
  }
