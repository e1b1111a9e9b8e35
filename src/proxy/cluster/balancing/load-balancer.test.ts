/** Who of a cluster's endpoints gets how much. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../core/random.ts";
import { endpointsOf, equals } from "../../../testing/endpoint-sample.ts";
import { VirtualClock } from "../../../testing/virtual-clock.ts";
import type { Endpoint } from "../endpoint.ts";
import type { LoadBalancerKind } from "./balancer.ts";
import { rehash } from "./hash.ts";
import { type BalancingPolicy, LoadBalancer } from "./load-balancer.ts";

const kinds = [
  "round-robin",
  "random",
  "least-request",
  "peak-ewma",
  "ring-hash",
  "maglev",
] as const satisfies readonly LoadBalancerKind[];

interface Options {
  readonly policy?: BalancingPolicy;
  readonly clock?: VirtualClock;
  readonly ownLocality?: string;
  readonly seed?: number;
}

function balancerFor(
  kind: LoadBalancerKind,
  members: readonly Endpoint[],
  { policy = {}, clock = new VirtualClock(), ownLocality = "", seed = 1 }: Options = {},
): LoadBalancer {
  const random = seededRandom(seed);
  const balancer = new LoadBalancer({ kind, policy, random, clock, ownLocality });
  balancer.rotate(members);
  return balancer;
}

/** How often each is picked, of `times`; a different hash each time. */
function counts(balancer: LoadBalancer, members: readonly Endpoint[], times: number): number[] {
  const found = new Map<Endpoint | undefined, number>();
  for (let i = 0; i < times; i++) {
    const picked = balancer.pick(undefined, rehash(i, 7));
    found.set(picked, (found.get(picked) ?? 0) + 1);
  }
  return members.map((endpoint) => found.get(endpoint) ?? 0);
}

function shares(balancer: LoadBalancer, members: readonly Endpoint[], times = 20_000): number[] {
  return counts(balancer, members, times).map((count) => count / times);
}

function expectShares(actual: readonly number[], wanted: readonly number[], within: number): void {
  for (const [i, share] of actual.entries())
    expect(Math.abs(share - wanted[i]!)).toBeLessThan(within);
}

describe("equal endpoints get equal parts", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [kind: LoadBalancerKind, within: number][] = [
    ["round-robin",   0.001],
    ["random",        0.01],
    ["least-request", 0.01],
    ["peak-ewma",     0.01],
    ["ring-hash",     0.05],
    ["maglev",        0.01],
  ];
  for (const [kind, within] of rows)
    test(`by ${kind}, within ${within * 100} %`, () => {
      const members = equals(5);
      const wanted = members.map(() => 1 / 5);
      expectShares(shares(balancerFor(kind, members), members), wanted, within);
    });
});

describe("weights of 1, 2 and 5 get their parts", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [kind: LoadBalancerKind, within: number][] = [
    ["round-robin",   0.001],
    ["random",        0.01],
    ["least-request", 0.001],
    ["ring-hash",     0.06],
    ["maglev",        0.01],
  ];
  for (const [kind, within] of rows)
    test(`by ${kind}, within ${within * 100} %`, () => {
      const members = endpointsOf([1, 2, 5]);
      expectShares(shares(balancerFor(kind, members), members), [1 / 8, 2 / 8, 5 / 8], within);
    });

  test("a heavier endpoint gets more by peak-ewma too", () => {
    const members = endpointsOf([1, 2, 5]);
    const [a, b, c] = shares(balancerFor("peak-ewma", members), members);
    expect(a! < b! && b! < c!).toBe(true);
  });
});

describe("round robin", () => {
  test("gives each endpoint its turn", () => {
    const members = equals(3);
    expect(counts(balancerFor("round-robin", members), members, 300)).toEqual([100, 100, 100]);
  });

  test("spreads the turns of a heavy endpoint", () => {
    const members = endpointsOf([3, 1]);
    const balancer = balancerFor("round-robin", members);
    const turns = Array.from({ length: 40 }, () => members.indexOf(balancer.pick(undefined)!));
    expect("0010".repeat(12)).toContain(turns.slice(4).join(""));
  });

  test("gives a weight of one beside a million its turn, once in a million", () => {
    const members = endpointsOf([1_000_000, 1]);
    const [, small] = counts(balancerFor("round-robin", members), members, 3_000_003);
    expect(small).toBe(3);
  });

  test("does not begin with the same endpoint in proxies that start together", () => {
    for (const weights of [Array.from({ length: 10 }, () => 1), [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]]) {
      const members = endpointsOf(weights);
      const firsts = new Set(
        Array.from({ length: 30 }, (_, seed) =>
          balancerFor("round-robin", members, { seed }).pick(undefined),
        ),
      );
      expect(firsts.size).toBeGreaterThan(4);
    }
  });
});

describe("least request", () => {
  test("never takes the busiest of all", () => {
    const members = equals(3);
    const balancer = balancerFor("least-request", members);
    members[1]!.active = 5;
    for (let i = 0; i < 1_000; i++) expect(balancer.pick(undefined)).not.toBe(members[1]!);
  });

  test("of two takes the one with less to do, always", () => {
    const members = equals(2);
    const balancer = balancerFor("least-request", members);
    members[0]!.active = 1;
    for (let i = 0; i < 100; i++) expect(balancer.pick(undefined)).toBe(members[1]!);
  });

  test("keeps endpoints nearly level as work comes in", () => {
    const members = equals(8);
    const balancer = balancerFor("least-request", members);
    for (let i = 0; i < 8_000; i++) balancer.pick(undefined)!.active++;
    for (const { active } of members) expect(Math.abs(active - 1_000)).toBeLessThan(10);
  });

  // biome-ignore format: a table reads as a table
  const rows: readonly [bias: number, busy: number, share: number][] = [
    [1, 3, 2 / 4 / (2 / 4 + 1)],
    [2, 3, 2 / 16 / (2 / 16 + 1)],
    [0, 3, 2 / 3],
  ];
  for (const [bias, busy, share] of rows)
    test(`with weights 2 and 1, the first with ${busy} under way, bias ${bias}`, () => {
      const members = endpointsOf([2, 1]);
      const balancer = balancerFor("least-request", members, { policy: { activeBias: bias } });
      members[0]!.active = busy;
      expectShares(shares(balancer, members), [share, 1 - share], 0.01);
    });
});

describe("a retry", () => {
  for (const kind of kinds) {
    test(`goes elsewhere (${kind})`, () => {
      const members = equals(3);
      const balancer = balancerFor(kind, members);
      for (let i = 0; i < 300; i++)
        expect(balancer.pick(members[0], rehash(i, 1))).not.toBe(members[0]!);
    });

    test(`goes to the same endpoint if there is no other (${kind})`, () => {
      const members = equals(1);
      expect(balancerFor(kind, members).pick(members[0], 5)).toBe(members[0]!);
    });

    test(`finds nobody where nobody is (${kind})`, () => {
      expect(balancerFor(kind, []).pick(undefined, 5)).toBeUndefined();
    });
  }
});

describe("an endpoint with all the requests that it may have", () => {
  for (const kind of kinds) {
    test(`is passed over while another has room (${kind})`, () => {
      const members = equals(4);
      for (const endpoint of members) endpoint.requestsMax = 2;
      const balancer = balancerFor(kind, members);
      for (let i = 0; i < 8; i++) balancer.pick(undefined, 99)!.active++;
      expect(members.map(({ active }) => active)).toEqual([2, 2, 2, 2]);
      expect(balancer.pick(undefined, 99)).toBeDefined();
    });
  }
});

describe("an endpoint that has just come", () => {
  const policy = { slowStart: { windowMs: 10_000, aggression: 1, minPercent: 10 } };

  /** Nine that are warm and one that comes at 60 s. */
  function warming(kind: LoadBalancerKind, slow: BalancingPolicy = policy) {
    const clock = new VirtualClock();
    const members = equals(10);
    clock.advance(60_000);
    members[9]!.inRotationMs = clock.nowMs();
    return { clock, members, balancer: balancerFor(kind, members, { policy: slow, clock }) };
  }

  const share = (part: number): number => part / (9 + part);
  // biome-ignore format: a table reads as a table
  const rows: readonly [afterMs: number, part: number][] = [
    [0,      0.1],
    [1_000,  0.1],
    [2_500,  0.25],
    [5_000,  0.5],
    [9_000,  0.9],
    [10_000, 1],
    [60_000, 1],
  ];
  for (const kind of ["round-robin", "random", "least-request"] as const)
    for (const [afterMs, part] of rows)
      test(`has ${part * 100} % of its part after ${afterMs} ms (${kind})`, () => {
        const { clock, members, balancer } = warming(kind);
        clock.advance(afterMs);
        // What was arranged before the time passed has its turns first.
        counts(balancer, members, 200);
        const own = shares(balancer, members)[9]!;
        expect(Math.abs(own - share(part))).toBeLessThan(0.01);
      });

  test("gets more at first with aggression 2", () => {
    const { clock, members, balancer } = warming("round-robin", {
      slowStart: { windowMs: 10_000, aggression: 2, minPercent: 10 },
    });
    clock.advance(2_500);
    counts(balancer, members, 200);
    expect(Math.abs(shares(balancer, members)[9]! - share(0.5))).toBeLessThan(0.01);
  });

  test("has its whole part at once without slow start", () => {
    const { members, balancer } = warming("round-robin", {});
    expect(counts(balancer, members, 1_000)[9]).toBe(100);
  });

  test("is alone: it gets everything", () => {
    const members = equals(1);
    expect(balancerFor("round-robin", members, { policy }).pick(undefined)).toBe(members[0]!);
  });
});

describe("with endpoints out of rotation", () => {
  /** Who is used when this many of ten are ejected. */
  function used(ejected: number, policy: BalancingPolicy = {}): number {
    const members = equals(10);
    for (let i = 0; i < ejected; i++) members[i]!.ejected = true;
    const balancer = balancerFor("random", members, { policy });
    return counts(balancer, members, 1_000).filter((count) => count > 0).length;
  }
  // biome-ignore format: a table reads as a table
  const rows: readonly [ejected: number, policy: BalancingPolicy, used: number][] = [
    [0,  {},                    10],
    [1,  {},                    9],
    [5,  {},                    5],
    [6,  {},                    10],
    [10, {},                    10],
    [6,  { panicPercent: 30 },  4],
    [8,  { panicPercent: 30 },  10],
    [9,  { panicPercent: 0 },   1],
    [10, { panicPercent: 0 },   0],
  ];
  for (const [ejected, policy, wanted] of rows)
    test(`${ejected} of 10, panic at ${policy.panicPercent ?? "the default of 50"} %`, () => {
      expect(used(ejected, policy)).toBe(wanted);
    });

  test("panic is shown", () => {
    const members = equals(10);
    const balancer = balancerFor("random", members);
    expect(balancer.panics).toBe(false);
    for (let i = 0; i < 6; i++) members[i]!.ejected = true;
    balancer.rotate(members);
    expect(balancer.panics).toBe(true);
  });

  test("one that is not checked yet, or failed its checks, is out; healthy ones are in", () => {
    const members = equals(6);
    members[0]!.check = "pending";
    members[1]!.check = "unhealthy";
    members[2]!.check = "healthy";
    const parts = counts(balancerFor("round-robin", members), members, 400);
    expect(parts).toEqual([0, 0, 100, 100, 100, 100]);
  });
});

describe("localities", () => {
  const ownLocality = "eu/a/1";
  const places = ["eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", "ap/a/1"];
  const members = (): Endpoint[] => places.flatMap((place) => endpointsOf([1, 1, 1, 1], place));
  const nearest: BalancingPolicy = { locality: { failover: [], distribute: [] } };

  /** Percent of the traffic that each place gets, with the first `ejected` of each place out. */
  function byPlace(
    policy: BalancingPolicy,
    ejected: Readonly<Record<string, number>> = {},
    own = ownLocality,
  ): number[] {
    const all = members();
    for (const [place, count] of Object.entries(ejected))
      for (const one of all.filter(({ facts }) => facts.locality === place).slice(0, count))
        one.ejected = true;
    const parts = counts(balancerFor("random", all, { policy, ownLocality: own }), all, 20_000);
    return places.map((_, i) =>
      Math.round(parts.slice(4 * i, 4 * i + 4).reduce((a, b) => a + b) / 200),
    );
  }

  function expectPlaces(actual: readonly number[], wanted: readonly number[]): void {
    for (const [i, percent] of actual.entries())
      expect(Math.abs(percent - wanted[i]!)).toBeLessThanOrEqual(1);
  }

  test("are alike without a policy, or when the proxy does not know its own", () => {
    expectPlaces(byPlace({}), [20, 20, 20, 20, 20]);
    expectPlaces(byPlace(nearest, {}, ""), [20, 20, 20, 20, 20]);
  });

  // Four endpoints: one is out, 75 % are good for 105; two are out, 50 % are good for 70.
  // biome-ignore format: a table reads as a table
  const rows: readonly [ejected: Record<string, number>, percent: readonly number[]][] = [
    [{},                                      [100, 0, 0, 0, 0]],
    [{ "eu/a/1": 1 },                         [100, 0, 0, 0, 0]],
    [{ "eu/a/1": 2 },                         [70, 30, 0, 0, 0]],
    [{ "eu/a/1": 3 },                         [35, 65, 0, 0, 0]],
    [{ "eu/a/1": 4 },                         [0, 100, 0, 0, 0]],
    [{ "eu/a/1": 3, "eu/a/2": 3 },            [35, 35, 30, 0, 0]],
    [{ "eu/a/1": 4, "eu/a/2": 4, "eu/b/1": 4 }, [0, 0, 0, 50, 50]],
  ];
  for (const [ejected, percent] of rows)
    test(`with ${JSON.stringify(ejected)} out of rotation`, () => {
      expectPlaces(byPlace(nearest, ejected), percent);
    });

  test("the region named for failover comes before the others", () => {
    const policy: BalancingPolicy = {
      locality: { failover: [{ from: "eu", to: "ap" }], distribute: [] },
    };
    const ejected = { "eu/a/1": 4, "eu/a/2": 4, "eu/b/1": 4 };
    expectPlaces(byPlace(policy, ejected), [0, 0, 0, 0, 100]);
  });

  const distribute = [
    { from: "us/*", to: [{ place: "us/*", weight: 100 }] },
    {
      from: "eu/a/*",
      to: [
        { place: "eu/a/1", weight: 70 },
        { place: "eu/a/2", weight: 20 },
        { place: "us/*", weight: 10 },
      ],
    },
  ];
  const distributed: BalancingPolicy = { locality: { failover: [], distribute } };

  test("get the parts that the operator says", () => {
    expectPlaces(byPlace(distributed), [70, 20, 0, 10, 0]);
    expectPlaces(byPlace(distributed, {}, "us/z/9"), [0, 0, 0, 100, 0]);
  });

  test("get less of their parts as they fail", () => {
    // Of 70 parts 49 are left: 49, 20 and 10 of 79.
    expectPlaces(byPlace(distributed, { "eu/a/1": 2 }), [62, 25, 0, 13, 0]);
    expectPlaces(byPlace(distributed, { "eu/a/1": 4 }), [0, 67, 0, 33, 0]);
  });

  test("nearest first where no distribution is for the proxy", () => {
    expectPlaces(byPlace(distributed, {}, "ap/a/1"), [0, 0, 0, 0, 100]);
  });

  for (const kind of ["ring-hash", "maglev"] as const)
    test(`the same hash stays in the same one (${kind})`, () => {
      const all = members();
      for (const one of all.slice(0, 2)) one.ejected = true;
      const balancer = balancerFor(kind, all, { policy: nearest, ownLocality });
      for (let i = 0; i < 200; i++)
        expect(balancer.pick(undefined, rehash(i, 5))).toBe(
          balancer.pick(undefined, rehash(i, 5))!,
        );
      const used = counts(balancer, all, 2_000).slice(4, 8);
      expect(used.every((count) => count > 50)).toBe(true);
    });

  for (const kind of kinds)
    test(`a far endpoint is used when a near one may not be tried again (${kind})`, () => {
      const near = endpointsOf([1], ownLocality);
      const far = endpointsOf([1, 1], "us/a/1").slice(1);
      const balancer = balancerFor(kind, [...near, ...far], { policy: nearest, ownLocality });
      expect(balancer.pick(undefined, 1)).toBe(near[0]!);
    });
});
