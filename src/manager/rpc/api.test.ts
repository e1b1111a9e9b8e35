/** The manager's API over real sockets, by every protocol that it speaks. */
import { afterEach, describe, expect, test } from "bun:test";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import {
  AppliedObject_Change,
  ApplyMode,
  ConfigService,
  ProxyStatus_Sync,
  StatusService,
} from "../../api/gen/mesh/v1/config_pb.ts";
import {
  type ConfigUpdate,
  DiscoveryService,
  RegistryService,
} from "../../api/gen/mesh/v1/discovery_pb.ts";
import { serveApi } from "../../api/serve.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { Manager } from "../manager.ts";
import { ManagerMetrics } from "../metrics.ts";
import { forgetfulWorkloadStore } from "../registry/workload-store.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { webApp } from "../web/web-app.ts";
import { apiRoutes } from "./routes.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(transportOf: (baseUrl: string) => Transport = grpc) {
  const manager = await Manager.open({
    clock: systemClock,
    log: new Log("manager", { level: "error" }),
    store: new MemoryStore(systemClock),
    workloads: forgetfulWorkloadStore,
    domain: "cluster.local",
    namespace: "default",
    leaseMs: 10_000,
  });
  const web = webApp(manager);
  const routes = apiRoutes(manager);
  const address = { hostname: "127.0.0.1", port: 0 };
  const server = await serveApi({ ...address, clock: systemClock, routes, fetch: web.fetch });
  closing.push(
    () => manager.close(),
    () => web.close(),
    () => server.close(),
  );
  const baseUrl = `http://127.0.0.1:${server.port}`;
  const transport = transportOf(baseUrl);
  return {
    manager,
    baseUrl,
    config: createClient(ConfigService, transport),
    status: createClient(StatusService, transport),
    discovery: createClient(DiscoveryService, transport),
    registry: createClient(RegistryService, transport),
  };
}

type Opened = Awaited<ReturnType<typeof open>>;

function grpc(baseUrl: string): Transport {
  return createGrpcTransport({ baseUrl });
}

const protocols: readonly (readonly [name: string, transportOf: (baseUrl: string) => Transport])[] =
  [
    ["gRPC", grpc],
    ["Connect on HTTP/2", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
    ["Connect on HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
    [
      "Connect with JSON",
      (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
    ],
    ["gRPC-Web on HTTP/2", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
    ["gRPC-Web on HTTP/1.1", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ];

/** A proxy that takes one update at a time and says what it thinks of it. */
class FakeProxy {
  readonly #mesh: Opened;
  readonly #ended = new AbortController();
  readonly #updates: AsyncIterator<ConfigUpdate>;
  readonly id: string;

  constructor(mesh: Opened, id: string, version = "") {
    this.#mesh = mesh;
    this.id = id;
    const node = { id, service: "productpage.default", namespace: "default" };
    const { signal } = this.#ended;
    const stream = mesh.discovery.watch({ node, version }, { signal });
    this.#updates = stream[Symbol.asyncIterator]();
    closing.push(() => this.#ended.abort());
  }

  async next(problems: string[] = [], activeVersion = ""): Promise<ConfigUpdate> {
    const { value, done } = await this.#updates.next();
    if (done) throw new Error("the stream ended");
    const update: ConfigUpdate = value;
    const version = update.config?.version ?? "";
    await this.#mesh.discovery.acknowledge({ nodeId: this.id, version, problems, activeVersion });
    return update;
  }

  /** True once the manager has ended the stream. */
  async ended(): Promise<boolean> {
    return (await this.#updates.next()).done === true;
  }

  leave(): void {
    this.#ended.abort();
  }
}

function reviewsRule(name: string, weight: number, precedence = 0): string {
  return `apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: ${name} }
spec:
  destination: { name: reviews }
  precedence: ${precedence}
  route:
  - labels: { version: v1 }
    weight: ${weight}
  - labels: { version: v2 }
    weight: ${100 - weight}
`;
}

function reviews(port: number) {
  return {
    workload: {
      id: `reviews-v1-${port}.default`,
      service: "reviews.default",
      address: "127.0.0.1",
      port,
      servicePort: 9080,
      protocol: "http",
      labels: { version: "v1" },
      healthy: true,
    },
  };
}

function apply(mesh: Opened, text: string, rest: { mode?: ApplyMode; dryRun?: boolean } = {}) {
  const documents = [{ file: "rules.yaml", text }];
  return mesh.config.apply({ documents, mode: ApplyMode.APPLY, author: "ann", ...rest });
}

async function codeOf(call: Promise<unknown>): Promise<Code | undefined> {
  return await call.then(
    () => undefined,
    (cause) => ConnectError.from(cause).code,
  );
}

describe.each(protocols)("by %s", (_, transportOf) => {
  test("a proxy registers, is configured, and hears of a new rule", async () => {
    const mesh = await open(transportOf);
    await mesh.registry.register(reviews(1));
    const proxy = new FakeProxy(mesh, "p.default");
    let update = await proxy.next();
    while ((update.config?.virtualHosts.length ?? 0) === 0) update = await proxy.next();
    const { objects, problems } = await apply(mesh, reviewsRule("canary", 90));
    expect(problems.filter(({ severity }) => severity === 1)).toEqual([]);
    expect(objects.map(({ name, change }) => [name, change])).toEqual([
      ["canary", AppliedObject_Change.CREATED],
    ]);
    const changed = await proxy.next();
    expect(changed.baseVersion).toBe(update.config!.version);
    expect(changed.config?.virtualHosts.map(({ routes }) => routes[0]?.name)).toEqual([
      "default/canary",
    ]);
    expect(changed.config?.clusters.map(({ labels }) => labels)).toEqual([
      { version: "v1" },
      { version: "v2" },
    ]);
    expect(await codeOf(mesh.config.get({ kind: "RouteRule", name: "no" }))).toBe(Code.NotFound);
  });
});

describe("a proxy's stream", () => {
  test("shows in the status as stale, synced, or rejected with the reasons", async () => {
    const mesh = await open();
    await mesh.registry.register(reviews(1));
    mesh.manager.flush();
    const proxy = new FakeProxy(mesh, "p.default");
    const first = await proxy.next();
    const status = async () => (await mesh.status.listProxies({})).proxies[0];
    expect(await status()).toMatchObject({ nodeId: "p.default", sync: ProxyStatus_Sync.SYNCED });
    await apply(mesh, reviewsRule("bad", 50));
    await proxy.next(["route 0: no"], first.config!.version);
    expect(await status()).toMatchObject({
      sync: ProxyStatus_Sync.REJECTED,
      problems: ["route 0: no"],
      activeVersion: first.config!.version,
    });
    await apply(mesh, reviewsRule("bad", 51));
    const whole = await proxy.next();
    expect(whole.baseVersion).toBe("");
    expect(await status()).toMatchObject({ sync: ProxyStatus_Sync.SYNCED, problems: [] });
    const { config } = await mesh.status.getProxyConfig({ nodeId: "p" });
    expect(config?.version).toBe(whole.config!.version);
  });

  test("resumes from a version that the manager knows with what differs", async () => {
    const mesh = await open();
    await mesh.registry.register(reviews(1));
    mesh.manager.flush();
    const before = new FakeProxy(mesh, "p.default");
    const held = await before.next();
    const { version } = held.config!;
    before.leave();
    const same = await new FakeProxy(mesh, "p.default", version).next();
    expect(same).toMatchObject({ baseVersion: version, config: { version, virtualHosts: [] } });
    await apply(mesh, reviewsRule("canary", 90));
    const changed = await new FakeProxy(mesh, "q.default", version).next();
    expect(changed.baseVersion).toBe(version);
    expect(changed.config?.virtualHosts).toHaveLength(1);
    const unknown = await new FakeProxy(mesh, "r.default", "no-such-version").next();
    expect(unknown.baseVersion).toBe("");
  });

  test("of a proxy and of its successor go on side by side; a third ends the oldest", async () => {
    const mesh = await open();
    const [first, second] = [new FakeProxy(mesh, "p.default"), new FakeProxy(mesh, "p.default")];
    await first.next();
    await second.next();
    await mesh.registry.register(reviews(1));
    const changed = [await first.next(), await second.next()];
    expect(changed.map(({ config }) => config?.virtualHosts.length)).toEqual([1, 1]);
    const syncs = (await mesh.status.listProxies({})).proxies.map(({ sync }) => sync);
    expect(syncs).toEqual([ProxyStatus_Sync.SYNCED, ProxyStatus_Sync.SYNCED]);
    await new FakeProxy(mesh, "p.default").next();
    expect(await first.ended()).toBe(true);
  });

  test("of a proxy that went is forgotten", async () => {
    const mesh = await open();
    const proxy = new FakeProxy(mesh, "p.default");
    await proxy.next();
    const gone = new Promise<void>((resolve) => {
      closing.push(
        mesh.manager.onNews(() => {
          if (mesh.manager.discovery.streams.length === 0) resolve();
        }),
      );
    });
    proxy.leave();
    await gone;
    expect((await mesh.status.listProxies({})).proxies).toEqual([]);
    expect(await codeOf(mesh.discovery.acknowledge({ nodeId: "p.default" }))).toBe(Code.NotFound);
  });

  test("sends a burst of changes as few updates, and the last state", async () => {
    const mesh = await open();
    await mesh.registry.register(reviews(1));
    const proxy = new FakeProxy(mesh, "p.default");
    await proxy.next();
    for (let port = 2; port <= 40; port++) await mesh.registry.register(reviews(port));
    let updates = 0;
    for (let endpoints = 0; endpoints < 40; updates++)
      endpoints = (await proxy.next()).config?.endpointSets[0]?.endpoints.length ?? 0;
    expect(updates).toBeLessThan(20);
  });
});

describe("applying", () => {
  test("changes nothing when one document of many is wrong, and tells all problems", async () => {
    const mesh = await open();
    const wrong = reviewsRule("b", 50).replace("precedence", "precedense");
    const worse = reviewsRule("c", 50).replace("weight: 50", "weight: 500");
    const response = await apply(mesh, [reviewsRule("a", 90), wrong, worse].join("---\n"));
    const errors = response.problems.filter(({ severity }) => severity === 1);
    expect(errors.length).toBeGreaterThanOrEqual(2);
    expect(errors[0]).toMatchObject({ position: { file: "rules.yaml" } });
    expect(errors.every(({ position }) => position!.line > 0 && position!.column > 0)).toBe(true);
    expect(response.objects).toEqual([]);
    expect((await mesh.config.list({})).objects).toEqual([]);
  });

  test("warns of a version that nobody runs", async () => {
    const mesh = await open();
    await mesh.registry.register(reviews(1));
    const { objects, problems } = await apply(mesh, reviewsRule("a", 90));
    expect(objects).toHaveLength(1);
    expect(problems).toMatchObject([{ path: "spec.route[1].labels", severity: 2 }]);
    expect(problems[0]?.message).toContain("has version=v2");
  });

  test("refuses one object twice", async () => {
    const mesh = await open();
    const { problems } = await apply(
      mesh,
      [reviewsRule("a", 1), reviewsRule("a", 2)].join("---\n"),
    );
    expect(problems.map(({ message }) => message)).toContain("RouteRule/default/a is given twice");
  });

  test("says what was created, updated, unchanged; a dry run only says it", async () => {
    const mesh = await open();
    const changesOf = async (text: string, dryRun = false) =>
      (await apply(mesh, text, { dryRun })).objects.map(({ change }) => change);
    const { CREATED, UPDATED, UNCHANGED } = AppliedObject_Change;
    expect(await changesOf(reviewsRule("a", 90), true)).toEqual([CREATED]);
    expect((await mesh.config.list({})).objects).toEqual([]);
    expect(await changesOf(reviewsRule("a", 90))).toEqual([CREATED]);
    expect(await changesOf(reviewsRule("a", 90))).toEqual([UNCHANGED]);
    expect(await changesOf(reviewsRule("a", 80))).toEqual([UPDATED]);
    const { objects, revision } = await mesh.config.list({ kind: "RouteRule" });
    expect(revision).toBe(2n);
    expect(objects).toMatchObject([
      { name: "a", author: "ann", revision: 2n, source: { file: "rules.yaml", line: 1 } },
    ]);
    expect(objects[0]?.text).toContain("weight: 80");
  });

  test("in mode create refuses what exists, in mode replace what does not", async () => {
    const mesh = await open();
    const { CREATE, REPLACE } = ApplyMode;
    const text = reviewsRule("a", 90);
    expect(await codeOf(apply(mesh, text, { mode: REPLACE }))).toBe(Code.NotFound);
    expect(await codeOf(apply(mesh, text, { mode: CREATE }))).toBeUndefined();
    expect(await codeOf(apply(mesh, text, { mode: CREATE }))).toBe(Code.AlreadyExists);
    expect(await codeOf(apply(mesh, text, { mode: REPLACE }))).toBeUndefined();
  });

  test("keeps history, rolls back as a new revision, and brings a deleted rule back", async () => {
    const mesh = await open();
    const reference = { kind: "RouteRule", namespace: "default", name: "a" };
    for (const weight of [90, 80]) await apply(mesh, reviewsRule("a", weight));
    const rolled = await mesh.config.rollback({ ...reference, author: "bob" });
    expect(rolled.revision).toBe(3n);
    expect((await mesh.config.get(reference)).text).toContain("weight: 90");
    await mesh.config.delete({ objects: [reference], author: "eve" });
    expect(await codeOf(mesh.config.get(reference))).toBe(Code.NotFound);
    await mesh.config.rollback(reference);
    expect((await mesh.config.get(reference)).text).toContain("weight: 90");
    await mesh.config.rollback({ ...reference, revision: 2n });
    expect((await mesh.config.get(reference)).text).toContain("weight: 80");
    const { entries } = await mesh.config.history({ ...reference, limit: 10 });
    expect(entries.map(({ author, change }) => [author, change])).toEqual([
      ["", AppliedObject_Change.UPDATED],
      ["", AppliedObject_Change.CREATED],
      ["eve", AppliedObject_Change.DELETED],
      ["bob", AppliedObject_Change.UPDATED],
      ["ann", AppliedObject_Change.UPDATED],
      ["ann", AppliedObject_Change.CREATED],
    ]);
    expect(await codeOf(mesh.config.rollback({ ...reference, revision: 99n }))).toBe(Code.NotFound);
  });
});

describe("registering", () => {
  test("refuses a workload that makes no sense, with every reason", async () => {
    const mesh = await open();
    const bad = mesh.registry.register({ workload: { id: "", service: "-", port: 70_000 } });
    const error = await bad.then(() => undefined, ConnectError.from);
    expect(error?.code).toBe(Code.InvalidArgument);
    for (const field of ["id:", "service:", "address:", "port:"])
      expect(error?.rawMessage).toContain(field);
  });

  test("again replaces, and only the new lease counts", async () => {
    const mesh = await open();
    const first = await mesh.registry.register(reviews(1));
    const second = await mesh.registry.register(reviews(1));
    expect(await codeOf(mesh.registry.renew({ leaseId: first.id }))).toBe(Code.NotFound);
    await mesh.registry.withdraw({ leaseId: first.id });
    mesh.manager.flush();
    const healthy = await mesh.registry.renew({ leaseId: second.id, healthy: false });
    expect(healthy.ttlMs).toBe(10_000);
    mesh.manager.flush();
    const { services } = await mesh.status.listServices({});
    expect(services).toMatchObject([
      { host: "reviews.default.svc.cluster.local", instances: [{ healthy: false, port: 1 }] },
    ]);
    await mesh.registry.withdraw({ leaseId: second.id });
    mesh.manager.flush();
    expect((await mesh.status.listServices({})).services).toMatchObject([{ instances: [] }]);
  });
});

test("the manager's own metrics tell of proxies, answers and objects", async () => {
  const mesh = await open();
  await mesh.registry.register(reviews(1));
  mesh.manager.flush();
  const proxy = new FakeProxy(mesh, "p.default");
  await proxy.next();
  await apply(mesh, reviewsRule("a", 90));
  await proxy.next(["no"]);
  const metrics = new ManagerMetrics(mesh.manager);
  const whole = async () => await metrics.fetch(new Request("http://m/metrics")).text();
  const scrape = async () => (await whole()).replace(/^.*process_.*\n/gm, "");
  const text = await scrape();
  for (const line of [
    `mesh_manager_proxies{sync="rejected"} 1`,
    `mesh_manager_proxies{sync="synced"} 0`,
    `mesh_manager_updates_total{form="whole"} 1`,
    `mesh_manager_updates_total{form="difference"} 1`,
    `mesh_manager_answers_total{answer="rejected"} 1`,
    "mesh_manager_config_objects 1",
    "mesh_manager_instances_healthy 1",
  ])
    expect(text.split("\n")).toContain(line);
  expect(await scrape()).toBe(text);
  expect(await whole()).toMatch(/^process_cpu_seconds_total [\d.e-]+$/m);
  metrics.close();
});

describe("pages", () => {
  test("are for reading, and for the names of this machine", async () => {
    const { baseUrl } = await open();
    const get = (path: string, init: RequestInit = {}) => fetch(`${baseUrl}${path}`, init);
    expect((await get("/api/v1/services")).status).toBe(200);
    expect((await get("/api/v1/services", { method: "POST" })).status).toBe(405);
    expect((await get("/api/v1/services", { headers: { host: "evil.example" } })).status).toBe(421);
    expect((await get("/nothing")).status).toBe(404);
  });
});
