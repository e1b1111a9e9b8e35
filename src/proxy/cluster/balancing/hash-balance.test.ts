/** Requests that stay where they are while endpoints come and go. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../core/random.ts";
import { endpointsOf, equals } from "../../../testing/endpoint-sample.ts";
import type { Endpoint } from "../endpoint.ts";
import { type Balancer, NO_HASH } from "./balancer.ts";
import { hashText, rehash } from "./hash.ts";
import { HashRing } from "./hash-ring.ts";
import { MAGLEV_SIZE, Maglev } from "./maglev.ts";

const makers: Readonly<Record<string, () => Balancer>> = {
  ring: () => new HashRing(seededRandom(1), { pointsMin: 1_024, pointsMax: 100_000 }),
  maglev: () => new Maglev(seededRandom(1), MAGLEV_SIZE),
};

const KEYS = Array.from({ length: 20_000 }, (_, i) => hashText(`user-${i}`));

function rotated(balancer: Balancer, members: readonly Endpoint[]): Balancer {
  balancer.rotate(
    members,
    Float64Array.from(members, ({ weight }) => weight),
  );
  return balancer;
}

function owners(balancer: Balancer): (Endpoint | undefined)[] {
  return KEYS.map((hash) => balancer.pick(undefined, hash));
}

/** Part of the keys that have another owner, of those whose owner is in both. */
function movedWithoutNeed(
  make: () => Balancer,
  before: readonly Endpoint[],
  after: readonly Endpoint[],
): number {
  const former = owners(rotated(make(), before));
  const next = owners(rotated(make(), after));
  const stays = (endpoint: Endpoint): boolean =>
    before.includes(endpoint) && after.includes(endpoint);
  const kept = KEYS.map((_, i) => i).filter((i) => stays(former[i]!) && stays(next[i]!));
  return kept.filter((i) => former[i] !== next[i]).length / KEYS.length;
}

for (const [name, make] of Object.entries(makers))
  describe(`a ${name}`, () => {
    test("sends the same hash to the same endpoint, in every proxy", () => {
      const members = equals(10);
      const here = owners(rotated(make(), members));
      expect(owners(rotated(make(), members))).toEqual(here);
      const there = owners(rotated(make(), equals(10)));
      expect(there.map((one) => one!.authority)).toEqual(here.map((one) => one!.authority));
    });

    test("does not care in which order endpoints are named", () => {
      const members = equals(10);
      const there = owners(rotated(make(), members.toReversed()));
      const same = owners(rotated(make(), members)).filter((one, i) => one === there[i]);
      expect(same.length / KEYS.length).toBeGreaterThan(name === "ring" ? 0.9999 : 0.5);
    });

    test("without a hash takes anybody", () => {
      const balancer = rotated(make(), equals(4));
      const picked = new Set(Array.from({ length: 200 }, () => balancer.pick(undefined, NO_HASH)));
      expect(picked.size).toBe(4);
    });

    test("takes every hash, the smallest and the largest too", () => {
      const balancer = rotated(make(), equals(3));
      for (const hash of [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
        expect(balancer.pick(undefined, hash)).toBeDefined();
    });

    test("moves on to one and the same other when it may not use the first", () => {
      const members = equals(5);
      const balancer = rotated(make(), members);
      for (const hash of KEYS.slice(0, 500)) {
        const first = balancer.pick(undefined, hash)!;
        const second = balancer.pick(first, hash)!;
        expect(second).not.toBe(first);
        expect(balancer.pick(first, hash)).toBe(second);
      }
    });

    // biome-ignore format: a table reads as a table
    const rows: readonly [from: number, to: number][] = [[10, 9], [9, 10], [100, 99], [100, 101]];
    for (const [from, to] of rows)
      test(`from ${from} endpoints to ${to} moves hardly anybody else`, () => {
        const members = equals(Math.max(from, to));
        const moved = movedWithoutNeed(make, members.slice(0, from), members.slice(0, to));
        expect(moved).toBeLessThan(name === "ring" ? 0.0001 : 0.02);
      });

    test("spreads what a lost endpoint had over all others", () => {
      const members = equals(10);
      const former = owners(rotated(make(), members));
      const next = owners(rotated(make(), members.slice(1)));
      const heirs = new Map<Endpoint, number>();
      for (const [i, owner] of former.entries())
        if (owner === members[0]) heirs.set(next[i]!, (heirs.get(next[i]!) ?? 0) + 1);
      expect(heirs.size).toBe(9);
    });

    test("gives weights of 1 and 3 their parts", () => {
      const members = endpointsOf([1, 3]);
      const share = owners(rotated(make(), members)).filter((one) => one === members[1]).length;
      expect(Math.abs(share / KEYS.length - 0.75)).toBeLessThan(0.05);
    });
  });

test("a hash that is a point of the ring is of that point, one above the last of the first", () => {
  const members = equals(3);
  const ring = rotated(makers.ring!(), members);
  const points = members.flatMap((endpoint) =>
    Array.from({ length: 256 }, (_, k) => ({
      endpoint,
      at: rehash(hashText(endpoint.authority), k),
    })),
  );
  points.sort((a, b) => a.at - b.at);
  for (const { endpoint, at } of points) expect(ring.pick(undefined, at)).toBe(endpoint);
  const last = points.at(-1)!.at;
  expect(last).toBeLessThan(0xffff_ffff);
  expect(ring.pick(undefined, last + 1)).toBe(points[0]!.endpoint);
});

describe("the size of a ring", () => {
  const sizeFor = (weights: readonly number[], pointsMin: number, pointsMax: number): number => {
    const ring = new HashRing(seededRandom(1), { pointsMin, pointsMax });
    rotated(ring, endpointsOf(weights));
    return ring.size;
  };
  const ones = (count: number): number[] => Array.from({ length: count }, () => 1);
  type Row = readonly [what: string, weights: number[], min: number, max: number, size: number];
  // biome-ignore format: a table reads as a table
  const rows: readonly Row[] = [
    ["ten endpoints",                     ones(10),    1_024, 100_000, 1_280],
    ["as many as the minimum",            ones(1_024), 1_024, 100_000, 1_024],
    ["more than the minimum",             ones(3_000), 1_024, 100_000, 3_000],
    ["weights far above the minimum",     [100_000, 300_000], 1_024, 100_000, 1_563],
    ["the next size would be too large",  ones(3),     1_024, 1_024, 768],
    ["a weight too small for a point",    [1_000_000, 1], 64, 128, 123],
  ];
  for (const [what, weights, min, max, size] of rows)
    test(what, () => expect(sizeFor(weights, min, max)).toBe(size));
});

test("hashes of what follows one another have nothing in common", () => {
  let bits = 0;
  for (let i = 0; i < 1_000; i++) {
    let both = rehash(hashText("10.0.0.1:80"), i) ^ rehash(hashText("10.0.0.1:80"), i + 1);
    for (; both !== 0; both &= both - 1) bits++;
  }
  expect(Math.abs(bits / 1_000 - 16)).toBeLessThan(0.5);
});
