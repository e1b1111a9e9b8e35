/** What a proxy does with what a manager sends, and without a manager. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { type Clock, systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import { FakeManager } from "../../testing/fake-manager.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { DiscoveryService, NodeSchema } from "../gen/mesh/v1/discovery_pb.ts";
import { type ProxyConfig, ProxyConfigSchema } from "../gen/mesh/v1/proxy_config_pb.ts";
import { Discovery } from "./discovery.ts";
import { managerTransport } from "./manager-transport.ts";

let manager: FakeManager;
let discovery: Discovery;
let published: ProxyConfig[];
let lines: string[];

beforeEach(async () => {
  manager = await new FakeManager().start();
  published = [];
  lines = [];
});
afterEach(async () => {
  await discovery.stop();
  await manager.kill();
});

/** Configurations of a version that begins with "bad" are refused. */
function follow(held?: ProxyConfig, clock: Clock = systemClock): void {
  discovery = new Discovery({
    transport: managerTransport(manager.url),
    node: create(NodeSchema, { id: "reviews-1.default", service: "reviews" }),
    held,
    clock,
    random: seededRandom(1),
    log: new Log("test", { level: "warn" }, (line) => void lines.push(line)),
    accept: (config) => {
      if (config.version.startsWith("bad")) return ["route r: no such cluster c"];
      published.push(config);
      return [];
    },
  });
  discovery.start();
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${condition}`);
    await Bun.sleep(2);
  }
}

test("the first configuration is whole, differences follow, each is acknowledged", async () => {
  manager.first = { config: { version: "v1", clusters: [{ name: "a" }, { name: "b" }] } };
  follow();
  await until(() => manager.acknowledged.length === 1);
  manager.send({ baseVersion: "v1", config: { version: "v2" }, removedClusters: ["a"] });
  await until(() => manager.acknowledged.length === 2);
  expect(manager.watched[0]?.version).toBe("");
  expect(manager.watched[0]?.node?.id).toBe("reviews-1.default");
  expect(published.map(({ version, clusters }) => [version, clusters.length])).toEqual([
    ["v1", 2],
    ["v2", 1],
  ]);
  expect(manager.acknowledged.map((a) => [a.version, a.activeVersion, a.problems])).toEqual([
    ["v1", "v1", []],
    ["v2", "v2", []],
  ]);
  expect(discovery.status()).toMatchObject({ at: "following", version: "v2", updates: 2 });
});

test("a bad version is rejected with its problems; the last good one stays", async () => {
  manager.first = { config: { version: "v1", clusters: [{ name: "a" }] } };
  follow();
  await until(() => published.length === 1);
  manager.send({ baseVersion: "v1", config: { version: "bad2", clusters: [{ name: "b" }] } });
  await until(() => manager.acknowledged.length === 2);
  expect(manager.acknowledged[1]).toMatchObject({
    version: "bad2",
    problems: ["route r: no such cluster c"],
    activeVersion: "v1",
  });
  expect(discovery.status()).toMatchObject({
    version: "v1",
    rejections: 1,
    rejected: { version: "bad2", problems: ["route r: no such cluster c"] },
  });
  // The next difference may be based on what was sent, or on what is in force.
  manager.send({ baseVersion: "bad2", config: { version: "v3" }, removedClusters: ["b"] });
  await until(() => published.length === 2);
  expect(published[1]?.clusters.map(({ name }) => name)).toEqual(["a"]);
  manager.send({ baseVersion: "v3", config: { version: "bad4" } });
  manager.send({ baseVersion: "v3", config: { version: "v5" } });
  await until(() => published.length === 3);
  expect(discovery.status()).toMatchObject({ version: "v5", rejected: undefined });
});

test("a killed manager changes nothing; a new one is resumed from the version held", async () => {
  manager.first = { config: { version: "v1" } };
  follow();
  await until(() => manager.acknowledged.length === 1);
  await manager.kill();
  await until(() => discovery.status().at === "waiting");
  expect(discovery.status()).toMatchObject({ version: "v1", fault: "connection lost" });
  await until(() => discovery.status().fault === "connection refused");
  const { reconnects } = discovery.status();
  await until(() => discovery.status().reconnects > reconnects + 1);
  // Each reason once: what is wrong may be another thing than what was at first.
  expect(lines.map((line) => /reason="([^"]*)"/.exec(line)?.[1])).toEqual([
    "connection lost",
    "connection refused",
  ]);
  manager.first = { baseVersion: "v1", config: { version: "v2" } };
  await manager.start();
  await until(() => published.length === 2);
  expect(manager.watched.at(-1)?.version).toBe("v1");
  expect(discovery.status()).toMatchObject({ at: "following", version: "v2" });
  expect(discovery.status().reconnects).toBeGreaterThan(0);
});

test("what was on disk is what the stream resumes from", async () => {
  manager.first = { baseVersion: "v7", config: { version: "v8", clusters: [{ name: "new" }] } };
  follow(create(ProxyConfigSchema, { version: "v7", clusters: [{ name: "old" }] }));
  await until(() => published.length === 1);
  expect(manager.watched[0]?.version).toBe("v7");
  expect(published[0]?.clusters.map(({ name }) => name)).toEqual(["old", "new"]);
});

test("a difference to a version that is not held asks for the whole", async () => {
  manager.first = { baseVersion: "v5", config: { version: "v6" } };
  follow();
  await until(() => manager.watched.length === 1);
  manager.first = { config: { version: "v6" } };
  await until(() => published.length === 1);
  expect(manager.watched.at(-1)?.version).toBe("");
});

test("a frozen manager, whose connections stay open, is left and tried again", async () => {
  const clock = new VirtualClock();
  const passing = (condition: () => boolean) =>
    until(() => {
      clock.advance(50);
      return condition();
    });
  manager.first = { config: { version: "v1" } };
  follow(undefined, clock);
  await until(() => manager.acknowledged.length === 1);
  await passing(() => manager.acknowledged.length === 3);
  expect(discovery.status()).toMatchObject({ at: "following", reconnects: 0 });
  manager.frozen = true;
  await passing(() => manager.stuck > 0);
  await passing(() => discovery.status().reconnects > 0);
  expect(discovery.status().version).toBe("v1");
  manager.frozen = false;
  await passing(() => discovery.status().at === "following");
  expect(manager.watched.at(-1)?.version).toBe("v1");
});

test.each([
  [Code.Unauthenticated, "the manager refuses us"],
  [Code.PermissionDenied, "the manager refuses us"],
  [Code.Unavailable, "manager is away"],
])("of code %p it is said: %s", async (code, said) => {
  const lines: string[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(DiscoveryService, {
      // biome-ignore lint/correctness/useYield: it refuses before it begins.
      async *watch() {
        throw new ConnectError("who are you?", code);
      },
    });
  });
  discovery = new Discovery({
    transport,
    node: create(NodeSchema, { id: "a" }),
    held: undefined,
    clock: systemClock,
    random: seededRandom(1),
    log: new Log("test", { level: "warn" }, (line) => lines.push(line)),
    accept: () => [],
  });
  discovery.start();
  await until(() => lines.length > 0);
  expect(lines[0]).toContain(` ${said} reason=`);
});
