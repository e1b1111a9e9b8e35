/** Dashboard and REST, as a browser meets them. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Identify } from "../../api/peer.ts";
import type { Role } from "../../api/principal.ts";
import { serveFetch } from "../../api/serve-fetch.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { readDocuments } from "../../dialect/read.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { standingOf } from "../../testing/workload-standing.ts";
import { Access } from "../access/access.ts";
import { authenticator } from "../access/authenticate.ts";
import { AuditLog } from "../audit/audit-log.ts";
import { MemoryAuditStore } from "../audit/audit-store.ts";
import { Manager } from "../manager.ts";
import { forgetfulWorkloadStore } from "../registry/workload-store.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { webApp } from "./web-app.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const RULE = `apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: outside }
spec:
  destination: { service: api.example.com } # </script><img src=x>
  ports: [{ port: 80, protocol: http }]
`;

async function open(clock: Clock = systemClock, access?: Access, identify?: Identify) {
  const manager = await Manager.open({
    clock,
    log: new Log("manager", { level: "error" }),
    store: new MemoryStore(clock),
    workloads: forgetfulWorkloadStore,
    domain: "cluster.local",
    namespace: "default",
    leaseMs: 10_000,
  });
  const web = webApp(manager, access);
  const server = serveFetch({ hostname: "127.0.0.1", port: 0 }, web.fetch, identify);
  closing.push(
    () => manager.close(),
    () => web.close(),
    () => server.close(),
  );
  const get = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, init);
  return { manager, web, get };
}

async function putRule(manager: Manager): Promise<void> {
  const options = { file: "rules.yaml", namespace: "default", domain: "cluster.local" };
  const { configs } = readDocuments(RULE, options);
  expect(configs).toHaveLength(1);
  await manager.configuration.store.commit(
    configs.map((config) => ({ put: config })),
    "ann",
  );
  manager.flush();
}

describe("the dashboard", () => {
  test("is one page that may run only what comes from here", async () => {
    const { get } = await open();
    const page = await get("/");
    const html = await page.text();
    expect(page.headers.get("content-type")).toStartWith("text/html");
    const policy = page.headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    expect(page.headers.get("x-frame-options")).toBe("DENY");
    expect(html).not.toMatch(/https?:\/\//);
    expect(html).not.toMatch(/<script>|<style|style=|\son\w+=/);
    for (const [, path] of html.matchAll(/(?:src|href)="(\/[^"]+)"/g))
      expect((await get(path!)).status).toBe(200);
  });

  test("has scripts that a browser can parse, that set no markup and find each other", async () => {
    const { get } = await open();
    const paths = ["/dashboard.js"];
    for (const path of paths) {
      const response = await get(path);
      expect([path, response.status]).toEqual([path, 200]);
      expect(response.headers.get("content-type")).toStartWith("text/javascript");
      const script = await response.text();
      expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
      expect(script).not.toMatch(/^(export )?interface /m);
      const { imports } = new Bun.Transpiler({ loader: "js" }).scan(script);
      for (const { path: from } of imports)
        if (!paths.includes(from.slice(1))) paths.push(from.slice(1));
    }
    expect(paths.length).toBeGreaterThan(1);
  });
});

describe("REST", () => {
  test("gives services, proxies, rules with their text and history, and problems", async () => {
    const { manager, get } = await open();
    await putRule(manager);
    const state = await (await get("/api/v1/state")).json();
    expect(state).toMatchObject({
      revision: 1,
      services: [],
      proxies: [],
      problems: [],
      rules: [
        { kind: "EgressRule", name: "outside", author: "ann", source: { file: "rules.yaml" } },
      ],
    });
    for (const one of ["services", "proxies", "rules", "problems"])
      expect(await (await get(`/api/v1/${one}`)).json()).toMatchObject({ [one]: state[one] });
    expect(await (await get("/api/v1/instances")).json()).toEqual({ instances: [] });
    expect(await (await get("/healthz")).text()).toBe("ok\n");
    const history = await get("/api/v1/rules/EgressRule/default/outside/history");
    expect(await history.json()).toMatchObject({ entries: [{ author: "ann", revision: "1" }] });
    expect(state.rules[0].text).toContain("</script>");
  });

  test("only reads, and only by the names of this machine", async () => {
    const { get } = await open();
    for (const method of ["POST", "PUT", "DELETE"])
      expect((await get("/api/v1/rules", { method })).status).toBe(405);
    const by = async (host: string) => (await get("/", { headers: { host } })).status;
    expect(await by("evil.example")).toBe(421);
    expect(await by("127.0.0.1.evil.example")).toBe(421);
    expect(await by("localhost:8080")).toBe(200);
    expect(await by("[::1]:8080")).toBe(200);
    expect((await get("/api/v1/nothing")).status).toBe(404);
  });
});

describe("events", () => {
  test("tell of a change, to a stream that stays open", async () => {
    const { manager, get } = await open();
    const gone = new AbortController();
    const response = await get("/api/v1/events", { signal: gone.signal });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    const until = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(said)) said += (await reader.read()).value ?? "";
    };
    await until(/retry: \d+\n\n/);
    await putRule(manager);
    await until(/event: change\ndata: 1\n\n/);
    gone.abort();
  });

  test("that could not be sent while a page did not read come when it does", async () => {
    const clock = new VirtualClock();
    const { manager, web } = await open(clock);
    const response = await web.fetch(new Request("http://localhost/api/v1/events"));
    await putRule(manager);
    clock.advance(1_000);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let said = "";
    while (!said.includes("event: change\ndata: 1\n\n")) said += (await reader.read()).value ?? "";
    await reader.cancel();
  });
});

describe("who may see it", () => {
  const TOKENS: Readonly<Record<string, { name: string; role: Role }>> = {
    "mesh-access.1.s": { name: "ann", role: "operator" },
  };

  /** As somebody whose own user's processes count as the manager's, or not. */
  async function guarded(isOurs: boolean, clock: Clock = systemClock, tokens = TOKENS) {
    const audit = new AuditLog(new MemoryAuditStore(), systemClock);
    const log = new Log("access", { level: "error" });
    const access = new Access({ audit, log, domain: "cluster.local", standing: standingOf() });
    const identify = authenticator({
      wallMs: () => Date.now(),
      uids: new Set(isOurs ? [process.getuid!()] : [4_294_967]),
      tokens: { find: (token) => tokens[token] },
      trustDomains: () => [],
      roots: () => new Set(),
      lapseOf: () => undefined,
      roles: new Map(),
    });
    const opened = await open(clock, access, identify);
    closing.push(() => audit.close());
    return { ...opened, audit };
  }

  test("our own user's processes see all without a word", async () => {
    const { get, audit } = await guarded(true);
    expect((await get("/api/v1/state")).status).toBe(200);
    expect(await (await get("/")).text()).toContain("/dashboard.js");
    expect(audit.list(9)).toEqual([]);
  });

  test("others see a field for their token, and nothing of the mesh", async () => {
    const { get, audit } = await guarded(false);
    const page = await get("/");
    expect(page.status).toBe(401);
    expect(await page.text()).toContain("/login.js");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    for (const path of ["/login", "/login.js", "/dashboard.css", "/healthz"])
      expect([path, (await get(path)).status]).toEqual([path, 200]);
    for (const path of ["/api/v1/state", "/api/v1/events", "/dashboard.js", "/api/v1/nothing"])
      expect([path, (await get(path)).status]).toEqual([path, 401]);
    expect(audit.list(9).map(({ object }) => object)).toContain("GET /api/v1/state");
  });

  test("a token opens a session that only reads, by a cookie that no script sees", async () => {
    const { get } = await guarded(false);
    const login = (headers: Record<string, string>) => get("/login", { method: "POST", headers });
    const authorization = "Bearer mesh-access.1.s";
    const answer = await login({ authorization });
    expect(answer.status).toBe(204);
    const cookie = answer.headers.get("set-cookie") ?? "";
    expect(cookie).toBe(
      "mesh-session=mesh-access.1.s; Max-Age=43200; Path=/; HttpOnly; SameSite=Strict",
    );
    const session = cookie.split(";")[0]!;
    expect((await get("/api/v1/state", { headers: { cookie: session } })).status).toBe(200);
    expect((await get("/api/v1/state", { headers: { authorization } })).status).toBe(200);
    const left = await get("/logout", { method: "POST", headers: { cookie: session } });
    expect(left.headers.get("set-cookie")).toStartWith("mesh-session=; Max-Age=0;");
    expect((await login({})).status).toBe(401);
    expect((await login({ cookie: session })).status).toBe(401);
    expect((await login({ authorization: "Bearer mesh-access.2.s" })).status).toBe(401);
  });

  test("its stream of events ends with the token that opened the session", async () => {
    const clock = new VirtualClock();
    const tokens = { ...TOKENS };
    const { get } = await guarded(false, clock, tokens);
    clock.advance(1_000);
    const { waiting } = clock;
    const headers = { cookie: "mesh-session=mesh-access.1.s" };
    const response = await get("/api/v1/events", { headers });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect(await reader.read()).toEqual({ done: false, value: "retry: 1000\n\n" });
    delete tokens["mesh-access.1.s"];
    clock.advance(1_000);
    expect(await reader.read()).toEqual({ done: true, value: undefined });
    expect((await get("/api/v1/events", { headers })).status).toBe(401);
    expect(clock.waiting).toBe(waiting);
  });

  test("no page of somebody else logs in or out", async () => {
    const { get } = await guarded(true);
    const authorization = "Bearer mesh-access.1.s";
    const foreign: Record<string, string>[] = [
      { "sec-fetch-site": "cross-site" },
      { origin: "http://evil.example" },
    ];
    for (const of of foreign)
      for (const path of ["/login", "/logout"]) {
        const headers = { ...of, authorization };
        expect((await get(path, { method: "POST", headers })).status).toBe(403);
      }
    const cors = await get("/api/v1/state", { headers: { origin: "http://evil.example" } });
    expect(cors.headers.get("access-control-allow-origin")).toBeNull();
  });
});

test("secrets of handlers are not on any page", async () => {
  const { manager, get } = await open();
  const text = `apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: hook }
spec:
  compiledAdapter: webhook
  params: { url: "http://ann:hunter2@hook.example/", headers: { x-api-key: hunter3 } }
`;
  const { configs } = readDocuments(text, {
    ...{ file: "h.yaml", namespace: "default", domain: "cluster.local" },
  });
  await manager.configuration.store.commit([{ put: configs[0]! }], "ann");
  manager.flush();
  for (const path of ["state", "rules", "problems", "rules/handler/default/hook/history"]) {
    const said = await (await get(`/api/v1/${path}`)).text();
    expect([path, said.match(/hunter\d/g)]).toEqual([path, null]);
  }
  expect(await (await get("/api/v1/rules")).text()).toContain("[redacted]@hook.example");
});
