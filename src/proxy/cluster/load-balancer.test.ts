/** Who of a cluster's endpoints gets how much. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../core/random.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { Endpoint } from "./endpoint.ts";
import { LoadBalancer, type LoadBalancerKind, placesOf } from "./load-balancer.ts";
import { RequestStats } from "./request-stats.ts";

const labels = {
  reporter: "source",
  source: "",
  sourceVersion: "",
  service: "",
  version: "",
} as const;
const stats = new RequestStats(labels, new Metrics());

function endpoints(count: number): Endpoint[] {
  const facts = { labels: {}, workload: "", locality: "", meshTransport: false };
  return Array.from(
    { length: count },
    (_, i) => new Endpoint({ address: "10.0.0.1", port: i + 1 }, facts, stats),
  );
}

function balancer(kind: LoadBalancerKind, weights: readonly number[]) {
  const members = endpoints(weights.length);
  const made = new LoadBalancer(kind, seededRandom(weights.length));
  made.rotate(placesOf(members.map((endpoint, i) => ({ endpoint, weight: weights[i]! }))));
  return { balancer: made, members };
}

/** How often each was picked, of `times`. */
function shares(kind: LoadBalancerKind, weights: readonly number[], times: number): number[] {
  const { balancer: asked, members } = balancer(kind, weights);
  const counts = members.map(() => 0);
  for (let i = 0; i < times; i++) counts[members.indexOf(asked.pick(undefined)!)]!++;
  return counts;
}

describe("round robin", () => {
  test("gives each endpoint its turn", () => {
    expect(shares("round-robin", [1, 1, 1], 300)).toEqual([100, 100, 100]);
  });

  test("gives weights their share exactly, and spreads them", () => {
    expect(shares("round-robin", [3, 1], 400)).toEqual([300, 100]);
    const { balancer: asked, members } = balancer("round-robin", [3, 1]);
    const order = Array.from({ length: 8 }, () => members.indexOf(asked.pick(undefined)!)).join("");
    expect("0010".repeat(3)).toContain(order);
  });

  test("gives a weight of a million beside one its share, and the small one a place", () => {
    const [large, small] = shares("round-robin", [1_000_000, 1], 17_000);
    expect(small).toBeGreaterThan(0);
    expect(large).toBeGreaterThan(16_900);
  });
});

describe("random", () => {
  test("gives weights their share within 2 %", () => {
    const counts = shares("random", [1, 3], 20_000);
    expect(Math.abs(counts[1]! / 20_000 - 0.75)).toBeLessThan(0.02);
  });
});

describe("least request", () => {
  test("is even among idle endpoints", () => {
    for (const count of shares("least-request", [1, 1, 1, 1], 20_000))
      expect(Math.abs(count / 20_000 - 0.25)).toBeLessThan(0.02);
  });

  test("never takes the busiest of all", () => {
    const { balancer: asked, members } = balancer("least-request", [1, 1, 1]);
    members[1]!.active = 5;
    for (let i = 0; i < 1_000; i++) expect(asked.pick(undefined)).not.toBe(members[1]!);
  });

  test("of two takes the one with less to do, always", () => {
    const { balancer: asked, members } = balancer("least-request", [1, 1]);
    members[0]!.active = 1;
    for (let i = 0; i < 100; i++) expect(asked.pick(undefined)).toBe(members[1]!);
  });

  test("keeps endpoints nearly level as work comes in", () => {
    const { balancer: asked, members } = balancer("least-request", [1, 1, 1, 1, 1, 1, 1, 1]);
    for (let i = 0; i < 8_000; i++) asked.pick(undefined)!.active++;
    for (const { active } of members) expect(Math.abs(active - 1_000)).toBeLessThan(10);
  });
});

describe("a retry", () => {
  for (const kind of ["round-robin", "random", "least-request"] as const) {
    test(`goes elsewhere (${kind})`, () => {
      const { balancer: asked, members } = balancer(kind, [1, 1, 1]);
      for (let i = 0; i < 300; i++) expect(asked.pick(members[0])).not.toBe(members[0]!);
    });

    test(`goes to the same endpoint if there is no other (${kind})`, () => {
      const { balancer: asked, members } = balancer(kind, [1]);
      expect(asked.pick(members[0])).toBe(members[0]!);
    });

    test(`goes to the same endpoint if all places are its own (${kind})`, () => {
      const one = endpoints(1)[0]!;
      const asked = new LoadBalancer(kind, seededRandom(1));
      asked.rotate([one, one]);
      expect(asked.pick(one)).toBe(one);
    });
  }
});

test("nobody is picked where nobody is", () => {
  expect(balancer("least-request", []).balancer.pick(undefined)).toBeUndefined();
});

test("proxies that start together do not begin with the same endpoint", () => {
  const members = endpoints(10).map((endpoint) => ({ endpoint, weight: 1 }));
  const firsts = new Set(
    Array.from({ length: 30 }, (_, seed) => {
      const one = new LoadBalancer("round-robin", seededRandom(seed));
      one.rotate(placesOf(members));
      return one.pick(undefined);
    }),
  );
  expect(firsts.size).toBeGreaterThan(4);
});
