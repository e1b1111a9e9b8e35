/** Clusters of names that a configuration brings with it: asked for before it is published. */
import { describe, expect, test } from "bun:test";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { config, parts, published } from "../../testing/snapshot-sample.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { ResolvedAddress } from "../cluster/name-members.ts";
import { compileSnapshot } from "./compile.ts";
import { Snapshot } from "./snapshot.ts";

/** A name service that answers when it is told to. */
class Names {
  readonly asked: string[] = [];
  readonly #answers = new Map<string, (answer: readonly ResolvedAddress[]) => void>();

  resolve = (name: string): Promise<readonly ResolvedAddress[]> => {
    this.asked.push(name);
    return new Promise((resolve) => this.#answers.set(name, resolve));
  };

  async answer(name: string, ...addresses: readonly string[]): Promise<void> {
    this.#answers.get(name)!(addresses.map((address) => ({ address, ttlMs: 5_000 })));
    await settle();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** A cluster for each of its names: { c: ["db.example"] }. */
function json(names: Readonly<Record<string, readonly string[]>>) {
  const at = (address: string) => ({ address, port: 80 });
  return {
    clusters: Object.keys(names).map((name) => ({ name, discovery: "DISCOVERY_DNS" })),
    endpointSets: Object.entries(names).map(([cluster, all]) => ({
      cluster,
      endpoints: all.map(at),
    })),
  };
}

function setUp() {
  const [names, clock, metrics] = [new Names(), new VirtualClock(), new Metrics()];
  const some = { clock, metrics, resolve: names.resolve };
  return {
    ...{ names, clock, metrics },
    compile(of: Readonly<Record<string, readonly string[]>>, former?: Snapshot): Snapshot {
      const compiled = compileSnapshot(config(json(of)), parts({ ...some, former }));
      if (!(compiled instanceof Snapshot)) throw new Error(JSON.stringify(compiled));
      return compiled;
    },
    publish: (of: Readonly<Record<string, readonly string[]>>) => published(json(of), some),
  };
}

function members(snapshot: Snapshot, cluster: string): string {
  return snapshot.clusters
    .get(cluster)!
    .endpoints.map(({ address }) => address)
    .join(" ");
}

/** "waits" until it is warm. */
function watch(warm: Promise<void> | undefined): () => string {
  let state = warm === undefined ? "had nothing to wait for" : "waits";
  void warm?.then(() => {
    state = "warm";
  });
  return () => state;
}

describe("a configuration", () => {
  test("without new names has nothing to wait for", async () => {
    const { compile, publish, names, clock } = setUp();
    expect(compile({}).warm(clock)).toBeUndefined();
    const former = publish({ c: ["db"] });
    await names.answer("db", "10.0.0.1");
    expect(compile({ c: ["db"] }, former).warm(clock)).toBeUndefined();
    expect(names.asked).toEqual(["db"]);
  });

  test("waits until all new names were answered, or refused, once", async () => {
    const { compile, publish, names, clock } = setUp();
    const former = publish({ old: ["old"] });
    await names.answer("old", "10.0.0.9");
    const next = compile({ old: ["old"], a: ["a", "b"], c: ["10.0.0.7"] }, former);
    const state = watch(next.warm(clock));
    await names.answer("a", "10.0.0.1");
    expect(state()).toBe("waits");
    await names.answer("b");
    expect(state()).toBe("warm");
    next.activate(former);
    expect(["old", "a", "c"].map((cluster) => members(next, cluster))).toEqual([
      "10.0.0.9",
      "10.0.0.1",
      "10.0.0.7",
    ]);
    expect(names.asked).toEqual(["old", "a", "b"]);
  });

  test("waits five seconds for a name that nobody answers, and goes on asking", async () => {
    const { compile, names, clock } = setUp();
    const next = compile({ c: ["db"] });
    const state = watch(next.warm(clock));
    clock.advance(4_999);
    await settle();
    expect(state()).toBe("waits");
    clock.advance(1);
    await settle();
    expect(state()).toBe("warm");
    next.activate(undefined);
    await names.answer("db", "10.0.0.1");
    expect(members(next, "c")).toBe("10.0.0.1");
  });

  test("that is abandoned asks nobody any more, and leaves no series", async () => {
    const { compile, names, clock, metrics } = setUp();
    const next = compile({ c: ["db"] });
    void next.warm(clock);
    next.clusters.get("c")!.stats.series.requests.increment();
    await names.answer("db", "10.0.0.1");
    next.abandon();
    clock.advance(600_000);
    await settle();
    expect(names.asked).toEqual(["db"]);
    expect(clock.waiting).toBe(0);
    expect(renderPrometheus([metrics])).not.toContain('envoy_cluster_name="c"');
  });
});

test("a cluster whose names change keeps its endpoints until the new ones were asked", async () => {
  const { compile, publish, names, clock } = setUp();
  const former = publish({ c: ["old"] });
  await names.answer("old", "10.0.0.1");
  const next = compile({ c: ["new", "other"] }, former);
  expect(next.warm(clock)).toBeUndefined();
  next.activate(former);
  expect(members(next, "c")).toBe("10.0.0.1");
  await names.answer("new", "10.0.0.2");
  expect(members(next, "c")).toBe("10.0.0.1");
  await names.answer("other");
  expect(members(next, "c")).toBe("10.0.0.2");
});
