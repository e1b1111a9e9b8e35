/** A cluster whose endpoints are DNS names. */
import { describe, expect, test } from "bun:test";
import { published } from "../../testing/snapshot-sample.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";

/** A name service that answers what it is told to, and counts what it is asked. */
class Names {
  readonly asked: string[] = [];
  readonly answers = new Map<string, readonly string[]>();
  ttlMs = 5_000;

  resolve = async (name: string): Promise<{ address: string; ttlMs: number }[]> => {
    this.asked.push(name);
    const answer = this.answers.get(name);
    if (answer === undefined) throw new Error("NXDOMAIN");
    return answer.map((address) => ({ address, ttlMs: this.ttlMs }));
  };
}

function start(names: Names, clock: VirtualClock, ...addresses: readonly string[]): Snapshot {
  return published(json(addresses), { clock, resolve: names.resolve });
}

function json(addresses: readonly string[], connectTimeoutMs = 100) {
  const endpoints = addresses.map((address) => ({ address, port: 80 }));
  return {
    clusters: [{ name: "c", discovery: "DISCOVERY_DNS", connectTimeoutMs }],
    endpointSets: [{ cluster: "c", endpoints }],
  };
}

function members(snapshot: Snapshot): string[] {
  return snapshot.clusters.get("c")!.endpoints.map(({ authority }) => authority);
}

/** Lets answers that are under way arrive. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

describe("a name", () => {
  test("becomes all of its addresses, and the snapshot is ready when it has", async () => {
    const [names, clock] = [new Names(), new VirtualClock()];
    names.answers.set("db", ["10.0.0.2", "10.0.0.1"]);
    const snapshot = start(names, clock, "db");
    expect(members(snapshot)).toEqual([]);
    await snapshot.ready();
    expect(members(snapshot)).toEqual(["10.0.0.1:80", "10.0.0.2:80"]);
  });

  test("is asked again when its answer has aged; who stays keeps its object", async () => {
    const [names, clock] = [new Names(), new VirtualClock()];
    names.answers.set("db", ["10.0.0.1", "10.0.0.2"]);
    const snapshot = start(names, clock, "db");
    await snapshot.ready();
    const [stays, goes] = snapshot.clusters.get("c")!.endpoints;
    names.answers.set("db", ["10.0.0.1", "10.0.0.3"]);
    clock.advance(4_999);
    await settle();
    expect(names.asked).toHaveLength(1);
    clock.advance(1);
    await settle();
    expect(members(snapshot)).toEqual(["10.0.0.1:80", "10.0.0.3:80"]);
    expect(snapshot.clusters.get("c")!.endpoints[0]).toBe(stays!);
    expect(goes!.removed).toBe(true);
  });

  test("keeps its last answer while it cannot be resolved", async () => {
    const [names, clock] = [new Names(), new VirtualClock()];
    names.answers.set("db", ["10.0.0.1"]);
    const snapshot = start(names, clock, "db");
    await snapshot.ready();
    names.answers.clear();
    clock.advance(60_000);
    await settle();
    expect(names.asked.length).toBeGreaterThan(1);
    expect(members(snapshot)).toEqual(["10.0.0.1:80"]);
  });

  test("that is unknown at first is asked again soon, and does not hold up readiness", async () => {
    const [names, clock] = [new Names(), new VirtualClock()];
    const snapshot = start(names, clock, "db");
    await snapshot.ready();
    expect(snapshot.clusters.get("c")!.pick()).toBeUndefined();
    names.answers.set("db", ["10.0.0.1"]);
    clock.advance(500);
    await settle();
    expect(members(snapshot)).toEqual(["10.0.0.1:80"]);
  });

  test("with a short life is asked once in five seconds at most", async () => {
    const [names, clock] = [new Names(), new VirtualClock()];
    names.ttlMs = 0;
    names.answers.set("db", ["10.0.0.1"]);
    await start(names, clock, "db").ready();
    for (let i = 0; i < 100; i++) {
      clock.advance(100);
      await settle();
    }
    expect(names.asked).toHaveLength(3);
  });

  test("keeps its endpoints when other settings of the cluster change", async () => {
    const [names, clock] = [new Names(), new VirtualClock()];
    names.answers.set("db", ["10.0.0.1"]);
    const former = start(names, clock, "db");
    await former.ready();
    const before = former.clusters.get("c")!.endpoints[0]!;
    const after = published(json(["db"], 200), { clock, resolve: names.resolve, former });
    expect(after.clusters.get("c")!.endpoints[0]).toBe(before);
    expect(before.removed).toBe(false);
  });
});

test("an answer that comes after its name has gone is of no account", async () => {
  const clock = new VirtualClock();
  const answers: ((addresses: readonly { address: string; ttlMs: number }[]) => void)[] = [];
  const resolve = (): Promise<readonly { address: string; ttlMs: number }[]> =>
    new Promise((settled) => answers.push(settled));
  const former = published(json(["old"]), { clock, resolve });
  const next = published(json(["new"]), { clock, resolve, former });
  answers[1]!([{ address: "10.0.0.2", ttlMs: 5_000 }]);
  await next.ready();
  answers[0]!([{ address: "10.0.0.1", ttlMs: 5_000 }]);
  await settle();
  expect(members(next)).toEqual(["10.0.0.2:80"]);
  expect(clock.waiting).toBe(1);
});

test("an address needs no name service", async () => {
  const [names, clock] = [new Names(), new VirtualClock()];
  const snapshot = start(names, clock, "10.0.0.9", "::1");
  await snapshot.ready();
  expect(members(snapshot)).toEqual(["10.0.0.9:80", "[::1]:80"]);
  expect(names.asked).toEqual([]);
});

test("nobody is asked once the cluster has gone", async () => {
  const [names, clock] = [new Names(), new VirtualClock()];
  names.answers.set("db", ["10.0.0.1"]);
  const former = start(names, clock, "db");
  await former.ready();
  published({}, { clock, resolve: names.resolve, former });
  clock.advance(600_000);
  await settle();
  expect(names.asked).toHaveLength(1);
  expect(clock.waiting).toBe(0);
});
