/** Dashboard and REST, as a browser meets them. */
import { afterEach, describe, expect, test } from "bun:test";
import { serveFetch } from "../../api/serve-fetch.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { readDocuments } from "../../dialect/read.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
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

async function open(clock: Clock = systemClock) {
  const manager = await Manager.open({
    clock,
    log: new Log("manager", { level: "error" }),
    store: new MemoryStore(clock),
    workloads: forgetfulWorkloadStore,
    domain: "cluster.local",
    namespace: "default",
    leaseMs: 10_000,
  });
  const web = webApp(manager);
  const server = serveFetch({ hostname: "127.0.0.1", port: 0 }, web.fetch);
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
