/** Which configuration is in force, and which is on disk. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ConfigCache } from "../../api/discovery/config-cache.ts";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { Log } from "../../core/log.ts";
import type { Problem } from "../../core/problem.ts";
import { seededRandom } from "../../core/random.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { compileSnapshot } from "../snapshot/compile.ts";
import { Configuration } from "./configuration.ts";
import { staticConfig } from "./static-config.ts";

const directory = mkdtempSync(join(tmpdir(), "configuration-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let clock: VirtualClock;
let published: string[];
let tests = 0;
let cache: ConfigCache;
beforeEach(() => {
  clock = new VirtualClock();
  published = [];
  cache = new ConfigCache(directory, `node-${++tests}`);
});

const metrics = new Metrics();
const scope = { namespace: "default", domain: "cluster.local" };

/** `isSlow`: several threads have to agree. */
function configuration(
  upstreams: Parameters<typeof staticConfig>[0] = [],
  isSlow = false,
): Configuration {
  return new Configuration({
    base: staticConfig(upstreams, scope),
    cache,
    clock,
    log: new Log("test", { level: "error" }, () => {}),
    apply: isSlow ? async (config) => apply(config) : apply,
  });
}

function apply(config: ProxyConfig): readonly Problem[] {
  const compiled = compileSnapshot(config, {
    clock,
    random: seededRandom(1),
    metrics,
    resolve: async () => [],
    source: { service: "", version: "" },
    former: undefined,
  });
  if (Array.isArray(compiled)) return compiled;
  published.push(compiled.version);
  return [];
}

/** A virtual host that forwards to a cluster, which is there or not. */
function config(version: string, hasCluster = true): ProxyConfig {
  const forward = { clusters: [{ cluster: "c", weight: 1 }] };
  const route = { name: "r", action: { case: "forward" as const, value: forward } };
  return create(ProxyConfigSchema, {
    version,
    virtualHosts: [{ name: "web", domains: ["web"], routes: [route] }],
    clusters: hasCluster
      ? [{ name: "c", service: "web", port: 80, discovery: 1, protocol: 1 }]
      : [],
  });
}

test("what cannot be compiled changes nothing, in force or on disk", async () => {
  const own = configuration();
  expect(own.accept(config("v1"))).toEqual([]);
  expect((await own.accept(config("v2", false))).join()).toContain('"c"');
  expect(own.config?.version).toBe("v1");
  expect(published).toEqual(["v1"]);
  await own.close();
  expect((await cache.load())?.version).toBe("v1");
});

test("an earlier run's configuration serves until the manager's comes", async () => {
  await cache.store(config("v1"));
  const own = configuration();
  expect(await own.loadFromDisk()).toBe(true);
  expect([own.source, own.received?.version]).toEqual(["disk", "v1"]);
  own.accept(config("v2"));
  expect([own.source, own.received?.version]).toEqual(["manager", "v2"]);
  expect(await own.loadFromDisk()).toBe(false);
  await own.close();
});

test("one on disk that cannot be used is as none", async () => {
  await cache.store(config("v1", false));
  const own = configuration();
  expect(await own.loadFromDisk()).toBe(false);
  expect(own.source).toBe("none");
});

test("the disk holds what the manager sent, without the command line's part", async () => {
  const own = configuration([{ service: "api", hostname: "127.0.0.1", port: 80 }]);
  await own.useStatic();
  expect([own.source, own.config?.virtualHosts.length]).toEqual(["static", 1]);
  own.accept(config("v1"));
  expect(own.config?.virtualHosts.length).toBe(2);
  await own.close();
  expect((await cache.load())?.virtualHosts.length).toBe(1);
});

test("until several threads have agreed the former one is in force, then the next", async () => {
  const own = configuration([], true);
  await own.accept(config("v1"));
  const second = own.accept(config("v2"));
  expect(own.config?.version).toBe("v1");
  expect(await second).toEqual([]);
  expect(own.config?.version).toBe("v2");
  const third = own.accept(config("v3", false));
  const fourth = own.accept(config("v4"));
  expect((await third).join()).toContain('"c"');
  await fourth;
  expect([own.config?.version, published.join()]).toEqual(["v4", "v1,v2,v4"]);
  await own.close();
  expect((await cache.load())?.version).toBe("v4");
});

test("the command line's part never replaces what the manager sends meanwhile", async () => {
  const own = configuration([{ service: "api", hostname: "127.0.0.1", port: 80 }], true);
  const sent = own.accept(config("v1"));
  await own.useStatic();
  await sent;
  expect([own.source, own.config?.version]).toEqual(["manager", "v1"]);
  await own.close();
});

test("many changes are few writes, and the last one is there in the end", async () => {
  const own = configuration();
  let writes = 0;
  const store = cache.store.bind(cache);
  cache.store = (next) => {
    writes++;
    return store(next);
  };
  for (let i = 0; i < 50; i++) own.accept(config(`v${i}`));
  expect(writes).toBe(1);
  clock.advance(1000);
  expect(writes).toBe(2);
  for (let i = 50; i < 100; i++) own.accept(config(`v${i}`));
  expect(writes).toBe(2);
  await own.close();
  expect(writes).toBe(3);
  expect((await cache.load())?.version).toBe("v99");
});
