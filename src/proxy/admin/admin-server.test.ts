/** The admin port and the readiness port, as an operator and as a hostile web page see them. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { Log } from "../../core/log.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { adminAnswer, openAdmin, openReadiness } from "./admin-server.ts";
import { pages } from "./inventory.ts";
import type { ProxyView } from "./proxy-view.ts";

let ready = true;
let told: string[] = [];
beforeEach(() => {
  ready = true;
  told = [];
});

const listeners = new Set<(line: string) => void>();
const config = create(ProxyConfigSchema, {
  version: "v7",
  virtualHosts: [
    {
      name: "reviews.default.svc.cluster.local",
      domains: ["reviews", "reviews:9080"],
      routes: [
        {
          name: "canary",
          origin: { file: "rules/a.yaml", line: 3, column: 1, object: "RouteRule/default/canary" },
          action: {
            case: "forward",
            value: {
              clusters: [
                { cluster: "v1", weight: 90 },
                { cluster: "v2", weight: 10 },
              ],
            },
          },
        },
        { action: { case: "redirect", value: { code: 301 } } },
      ],
    },
  ],
  tcpDestinations: [
    {
      name: "db.default.svc.cluster.local:5432",
      port: 5_432,
      addresses: ["10.0.0.9"],
      routes: [{ name: "default-route", clusters: [{ cluster: "db", weight: 1 }] }],
    },
  ],
});

const view: ProxyView = {
  node: { id: "a-1", service: "a", namespace: "default", labels: {}, version: "0.1.0" },
  log: new Log("test", { level: "info" }),
  startedMs: 0,
  uptimeMs: () => 61_000,
  listeners: () => [{ name: "outbound", address: "127.0.0.1:15001" }],
  config: () => config,
  clusters: () => [],
  configSource: () => "disk",
  discovery: () => undefined,
  registration: () => ({ at: "registered", healthy: true, faults: 0 }),
  credential: () => undefined,
  readiness: () => (ready ? { ready, reason: "LIVE" } : { ready, reason: "waiting for rules" }),
  metrics: () => '# HELP a A.\n# TYPE a counter\na{x="1"} 5\na{x="2"} 0\nb 2\n',
  tap: (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  taps: () => listeners.size,
  failHealthcheck: (failed) => told.push(`fail ${failed}`),
  drain: () => told.push("drain"),
  policy: () => undefined,
  denials: () => [],
  quit: () => told.push("quit"),
};

const admin = openAdmin({ hostname: "127.0.0.1", port: 0 }, view);
const readiness = openReadiness({ hostname: "127.0.0.1", port: 0 }, view);
afterAll(() => Promise.all([admin.stop(), readiness.stop()]));

const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${admin.port}${path}`, init);
const body = async (path: string, init?: RequestInit): Promise<string> =>
  await (await ask(path, init)).text();

test("the index names every page", async () => {
  const index = await body("/");
  for (const { path } of pages) expect(index).toContain(` ${path} `);
});

test("/config_dump is the whole configuration, with the file and line of each rule", async () => {
  const dump = JSON.parse(await body("/config_dump"));
  expect(dump).toMatchObject({ version: "v7", source: "disk", node: { id: "a-1" } });
  expect(dump.config.virtualHosts[0].routes[0].origin).toEqual({
    file: "rules/a.yaml",
    line: 3,
    column: 1,
    object: "RouteRule/default/canary",
  });
});

test("/routes reads in order of evaluation", async () => {
  expect(await body("/routes")).toBe(
    "reviews.default.svc.cluster.local: reviews, reviews:9080\n" +
      "  1. canary -> 90% v1, 10% v2 (rules/a.yaml:3:1 RouteRule/default/canary)\n" +
      "  2. (unnamed) -> redirect\n" +
      "tcp db.default.svc.cluster.local:5432: 10.0.0.9\n" +
      "  1. default-route -> db\n",
  );
  expect(JSON.parse(await body("/routes?format=json"))[0].routes[0].name).toBe("canary");
});

test("/listeners in both forms", async () => {
  expect(await body("/listeners")).toBe("outbound::127.0.0.1:15001\n");
  expect(JSON.parse(await body("/listeners?format=json"))).toEqual([
    { name: "outbound", address: "127.0.0.1:15001" },
  ]);
});

test("/stats is the metrics without their descriptions, filtered", async () => {
  expect(await body("/stats")).toBe('a{x="1"}: 5\na{x="2"}: 0\nb: 2\n');
  expect(await body("/stats?filter=^a&usedonly")).toBe('a{x="1"}: 5\n');
  const wrong = await ask("/stats?filter=(");
  expect([wrong.status, await wrong.text()]).toEqual([
    400,
    "filter: not a regular expression: error parsing regexp: missing closing ): `(`\n",
  ]);
  expect((await ask("/stats/prometheus")).headers.get("content-type")).toContain("version=0.0.4");
});

test("/ready and /healthz/ready say 503 and why", async () => {
  const url = `http://127.0.0.1:${readiness.port}/healthz/ready`;
  expect((await fetch(url)).status).toBe(200);
  ready = false;
  expect(await (await fetch(url)).text()).toBe("waiting for rules\n");
  expect((await fetch(url)).status).toBe(503);
  expect((await ask("/ready")).status).toBe(503);
  expect((await fetch(url.replace("/healthz/ready", "/config_dump"))).status).toBe(404);
});

test("/logging changes the level by POST only", async () => {
  expect((await ask("/logging?level=debug", { method: "POST" })).status).toBe(200);
  expect(view.log.level).toBe("debug");
  expect(await body("/logging")).toBe("level: debug\n");
  expect((await ask("/logging?level=loud", { method: "POST" })).status).toBe(400);
  view.log.level = "info";
});

test("what changes something is done by POST only", async () => {
  for (const path of ["/drain", "/quitquitquit", "/healthcheck/fail", "/healthcheck/ok"]) {
    const refused = await ask(path);
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await ask(path, { method: "POST" })).ok).toBe(true);
  }
  expect(told).toEqual(["drain", "quit", "fail true", "fail false"]);
});

test("a name that a web page points at loopback is refused, and its POST too", async () => {
  const rebound = await ask("/config_dump", { headers: { host: "evil.example" } });
  expect(rebound.status).toBe(403);
  const forged = await ask("/quitquitquit", {
    method: "POST",
    headers: { origin: "https://evil.example" },
  });
  expect(forged.status).toBe(403);
  expect(told).toEqual([]);
});

test.each([
  ["GET", "cross-site", "no-cors", 403],
  ["GET", "same-site", "cors", 403],
  ["GET", "cross-site", "navigate", 200],
  ["GET", "none", "navigate", 200],
  ["GET", "same-origin", "cors", 200],
  ["POST", "cross-site", "navigate", 403],
  ["POST", "same-site", "no-cors", 403],
  ["POST", "same-origin", "cors", 200],
] as const)("%s of a browser, %s, %s: %i", async (method, site, mode, status) => {
  const headers = { "sec-fetch-site": site, "sec-fetch-mode": mode };
  const answer = await ask("/logging?level=info", { method, headers });
  expect(answer.status).toBe(status);
  expect(answer.headers.get("access-control-allow-origin")).toBeNull();
});

test("/config_dump shows no secret of a handler or an authorizer", async () => {
  const parameters = { url: "http://ann:hunter2@hook/", headers: { "x-key": "hunter2" } };
  const secret = create(ProxyConfigSchema, {
    policy: {
      handlers: [{ spec: { adapter: "webhook", parameters: JSON.stringify(parameters) } }],
    },
    access: {
      externalAuthorizers: [
        { name: "ext", additionalHeaders: [{ name: "authorization", value: "hunter2" }] },
      ],
    },
  });
  const shown = await adminAnswer(
    new Request("http://127.0.0.1/config_dump", { headers: { host: "127.0.0.1" } }),
    { ...view, config: () => secret },
  );
  const text = await shown.text();
  expect(text).not.toContain("hunter2");
  expect(text).toContain("[redacted]@hook");
  expect(secret.policy?.handlers[0]?.spec?.parameters).toContain("hunter2");
});

test.each([
  ["localhost:15000", 200],
  ["mesh.localhost", 200],
  ["[::1]:15000", 200],
  ["127.0.0.1", 200],
  ["127.0.0.1.evil.example", 403],
  ["localhost.evil.example:15000", 403],
  ["", 403],
])("Host: %s is answered %i", async (host, status) => {
  const request = new Request("http://127.0.0.1/ready", { headers: { host } });
  expect((await adminAnswer(request, view)).status).toBe(status);
});

test("bytes that are no address are answered in a line, never with our source", async () => {
  const ready = "GET /healthz/ready HTTP/1.1\r\nHost: ";
  for (const [head, port, status] of [
    ["GET /healthz/ready HTTP/1.0", readiness.port, 200],
    [`${ready}[`, readiness.port, 200],
    [`${ready}a b`, readiness.port, 200],
    ["GET // HTTP/1.1\r\nHost: [", readiness.port, 404],
    ["GET /ready HTTP/1.0", admin.port, 403],
    ["GET // HTTP/1.1\r\nHost: [", admin.port, 403],
  ] as const) {
    const client = await RawClient.connect({ port });
    client.send(`${head}\r\n\r\n`);
    const answer = await client.takeResponse();
    client.terminate();
    expect([head, answer.status]).toEqual([head, status]);
    expect(answer.body).toMatch(/^.{0,80}\n$/);
  }
});

test("an unknown page is 404 and shows what there is", async () => {
  const answer = await ask("/nonsense");
  expect(answer.status).toBe(404);
  expect(await answer.text()).toContain("/config_dump");
});

test("/tap gives each matching exchange as it ends, and stops at the maximum", async () => {
  const answer = await ask("/tap?filter=reviews&max=2");
  expect(answer.headers.get("content-type")).toBe("text/event-stream");
  for (const line of ['{"a":"reviews"}', '{"a":"ratings"}', '{"b":"reviews"}', '{"c":"reviews"}']) {
    for (const listener of listeners) listener(line);
  }
  expect(await answer.text()).toBe(
    ': listening\n\ndata: {"a":"reviews"}\n\ndata: {"b":"reviews"}\n\n',
  );
  expect(listeners.size).toBe(0);
});

test("/tap: a listener that goes is forgotten; one that does not read loses lines", async () => {
  const leaving = new AbortController();
  await ask("/tap", { signal: leaving.signal });
  expect(listeners.size).toBe(1);
  const line = JSON.stringify({ path: "x".repeat(10_000) });
  for (let i = 0; i < 5000; i++) for (const listener of listeners) listener(line);
  leaving.abort();
  while (listeners.size > 0) await Bun.sleep(1);
  for (const bad of ["/tap?filter=(", "/tap?max=0", "/tap?max=x"]) {
    expect((await ask(bad)).status).toBe(400);
  }
});
