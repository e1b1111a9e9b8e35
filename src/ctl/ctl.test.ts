/** What an operator types and reads, against a real manager on a socket. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { WorkloadSchema } from "../api/gen/mesh/v1/discovery_pb.ts";
import { type ApiServer, serveApi } from "../api/serve.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { MESH_VERSION } from "../core/version.ts";
import { Manager } from "../manager/manager.ts";
import { forgetfulWorkloadStore } from "../manager/registry/workload-store.ts";
import { apiRoutes } from "../manager/rpc/routes.ts";
import { MemoryStore } from "../manager/store/memory-store.ts";
import { commands } from "./inventory.ts";
import { runCtl } from "./run.ts";
import type { CtlIo } from "./terminal.ts";

const directory = mkdtempSync(join(tmpdir(), "mesh-ctl-"));
let manager: Manager;
let server: ApiServer;

beforeAll(async () => {
  manager = await Manager.open({
    clock: systemClock,
    log: new Log("test", { level: "error" }),
    store: new MemoryStore(systemClock),
    workloads: forgetfulWorkloadStore,
    domain: "cluster.local",
    namespace: "default",
    leaseMs: 10_000,
  });
  server = await serveApi({
    hostname: "127.0.0.1",
    port: 0,
    clock: systemClock,
    routes: apiRoutes(manager),
    fetch: () => new Response(null, { status: 404 }),
  });
  manager.local.register(
    create(WorkloadSchema, {
      id: "reviews-1",
      service: "reviews.default",
      namespace: "default",
      address: "127.0.0.1",
      port: 9081,
      servicePort: 9080,
      protocol: "http",
      labels: { version: "v1" },
      healthy: true,
    }),
  );
  // Rules are judged by what is published, a moment later.
  while (manager.registry.services.length === 0) await Bun.sleep(2);
});

afterAll(async () => {
  await server.close();
  await manager.close();
  rmSync(directory, { recursive: true });
});

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function ctl(argv: readonly string[], more: Partial<CtlIo> = {}): Promise<Result> {
  let [out, err] = ["", ""];
  const code = await runCtl(argv, {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    readStdin: async () => "",
    stdinIsTty: true,
    isTty: false,
    columns: 100,
    env: { USER: "ada", MESH_MANAGER: `http://127.0.0.1:${server.port}` },
    clock: systemClock,
    ...more,
  });
  // Where it is written matters to nobody.
  return { code, out, err: err.replaceAll(`${directory}/`, "") };
}

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const rule = (to: string, precedence = 1): string => `type: route-rule
name: reviews-default
spec:
  destination: reviews.default.svc.cluster.local
  precedence: ${precedence}
  route:
  - tags:
      version: ${to}
`;

test("a rule from its creation to its deletion and back", async () => {
  const path = file("rule.yaml", rule("v1"));
  expect(await ctl(["create", "-f", path])).toEqual({
    code: 0,
    out: "Created config route-rule/default/reviews-default at revision 1\n",
    err: "",
  });
  expect(await ctl(["create", "route-rule", "-f", path])).toMatchObject({
    code: 1,
    err: expect.stringContaining("`mesh ctl apply` creates or updates"),
  });
  expect((await ctl(["apply", "-f", path])).out).toBe(
    "Unchanged config route-rule/default/reviews-default\n",
  );
  file("rule.yaml", rule("v2"));
  const dry = await ctl(["apply", "-f", path, "--dry-run"]);
  expect(dry.out).toBe("Would update config route-rule/default/reviews-default\n");
  const diff = await ctl(["diff", "-f", path]);
  expect(diff.out).toContain("-      version: v1\n+      version: v2\n");
  expect((await ctl(["diff", "-f", path, "--exit-code"])).code).toBe(1);
  expect((await ctl(["replace", "-f", path])).out).toBe(
    "Updated config route-rule/default/reviews-default to revision 2\n",
  );
  expect((await ctl(["diff", path, "--exit-code"])).code).toBe(0);

  const shown = await ctl(["get", "route-rule", "reviews-default"]);
  expect(shown).toEqual({ code: 0, out: rule("v2"), err: "" });
  expect((await ctl(["get", "routerules", "-oshort"])).out).toBe("reviews-default\n");
  expect((await ctl(["get", "all", "-o", "name"])).out).toBe("RouteRule/default/reviews-default\n");
  const listed = JSON.parse((await ctl(["list", "-o=json"])).out);
  expect(listed.items).toHaveLength(1);
  expect(listed.items[0]).toMatchObject({ kind: "RouteRule", revision: 2, author: "ada" });

  expect((await ctl(["rollback", "route-rule", "reviews-default"])).out).toContain("revision 3");
  expect((await ctl(["get", "RouteRule/default/reviews-default"])).out).toBe(rule("v1"));
  expect((await ctl(["delete", "route-rule", "reviews-default"])).out).toBe(
    "Deleted config: route-rule reviews-default\n",
  );
  expect(await ctl(["get", "route-rules"])).toEqual({
    code: 0,
    out: "",
    err: "No resources found.\n",
  });
  const history = await ctl(["history", "route-rule", "reviews-default"]);
  const changes = history.out
    .trim()
    .split("\n")
    .map((line) => line.split(/\s+/)[2]);
  expect(changes).toEqual(["CHANGE", "deleted", "updated", "updated", "created"]);
  expect((await ctl(["history", "rr", "reviews-default", "-p"])).out).toContain("by ada");
  expect((await ctl(["rollback", "rr", "reviews-default", "--to", "2"])).code).toBe(0);
  expect((await ctl(["get", "rr", "reviews-default"])).out).toBe(rule("v2"));
  expect((await ctl(["delete", "-f", path])).code).toBe(0);
});

test("stdin and several files are one change", async () => {
  const path = file("one.yaml", rule("v1"));
  const other = rule("v2", 2).replace("reviews-default", "reviews-other");
  const both = await ctl(["apply", "-f", path, "-f", "-"], { readStdin: async () => other });
  expect(both.out.split("\n").filter(Boolean)).toHaveLength(2);
  expect((await ctl(["delete", "rr", "reviews-default", "reviews-other"])).code).toBe(0);
});

test("problems are shown with line, caret and what was meant; nothing changes", async () => {
  const path = file(
    "bad.yaml",
    rule("v1").replace("precedence", "precedense").replace("route:", "weight: 3\n  route:"),
  );
  const refused = await ctl(["apply", "-f", path]);
  expect(refused.code).toBe(1);
  expect(refused.out).toBe("");
  expect(refused.err).toBe(`bad.yaml:5:3: error: spec.precedense: unknown field
  5 |   precedense: 1
    |   ^~~~~~~~~~
    = did you mean precedence?
bad.yaml:6:3: error: spec.weight: unknown field
  6 |   weight: 3
    |   ^~~~~~
2 errors; nothing was changed
`);
  const offline = await ctl(["validate", path], { env: {} });
  expect(offline).toEqual({
    code: 1,
    out: "",
    err: refused.err.replace("; nothing was changed", " in 1 file"),
  });
  const json = JSON.parse((await ctl(["validate", path, "-o", "json"])).out);
  expect(json.valid).toBe(false);
  expect(json.problems[0]).toMatchObject({ line: 5, column: 3, path: "spec.precedense" });
  expect((await ctl(["list", "-o", "name"])).out).toBe("");
});

test("policy is judged without a manager, but for what it may have", async () => {
  const path = file(
    "policy.yaml",
    `apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: closed }
spec:
  match: request.path == reviews
  actions: [{ handler: deny, instances: [nothing] }]
`,
  );
  const offline = await ctl(["validate", path], { env: {} });
  expect(offline.code).toBe(1);
  expect(offline.err).toBe(`policy.yaml:1:1: warning: spec: No valid actions found in rule
  1 | apiVersion: config.istio.io/v1alpha2
    | ^~~~~~~~~~
policy.yaml:5:26: error: spec.match: unknown attribute reviews
  5 |   match: request.path == reviews
    |                          ^~~~~~~
    = write "reviews" if it is a text
policy.yaml:6:24: warning: spec.actions[0].handler: Handler not found: handler='deny'
  6 |   actions: [{ handler: deny, instances: [nothing] }]
    |                        ^~~~
1 error and 2 warnings in 1 file
`);
  const applied = await ctl(["apply", "--dry-run", "-f", path]);
  expect(applied.err).toContain("3 errors; nothing was changed");
});

test("services, proxies, check and version", async () => {
  const services = await ctl(["services"]);
  expect(services.out).toMatch(/^SERVICE +PORTS +HEALTHY +VERSIONS/);
  expect(services.out).toContain("reviews.default  9080/HTTP");
  expect((await ctl(["services", "reviews", "-o", "json"])).code).toBe(0);
  expect((await ctl(["services", "revews"])).err).toContain("did you mean reviews?");
  expect((await ctl(["proxies"])).err).toContain("No proxies are connected.");
  expect((await ctl(["config", "reviews"])).err).toContain("none is connected");
  expect((await ctl(["version", "-o", "json"])).out).toContain(`"version": "${MESH_VERSION}"`);
  const check = await ctl(["check"]);
  expect(check.out).toContain("✓ answers at");
  expect(check.out).toContain("! none is connected");
  expect(check.out).toContain("✓ nothing is wrong with them");
});

test("check tells what is wrong with the rules in force", async () => {
  const path = join(directory, "nobody.yaml");
  const rule = "destination: reviews.default.svc.cluster.local\nroute: [{ tags: { version: v9 } }]";
  writeFileSync(path, rule);
  expect((await ctl(["apply", "-f", path])).code).toBe(0);
  const check = await ctl(["check", "-o", "short"]);
  expect(check.out).toContain(`! ${path}:2:8: spec.route[0].labels: no instance of reviews`);
  expect((await ctl(["delete", "-f", path])).code).toBe(0);
});

const mistakes: readonly (readonly [argv: string, says: string])[] = [
  ["aply", "did you mean apply?"],
  ["get route-rules --outptu json", "did you mean --output?"],
  ["get route-rules -o jsn", "did you mean json?"],
  ["get route-ruls", "did you mean route-rule"],
  ["get", "which kind?"],
  ["get a/b/c/d", "is not KIND/NAME"],
  ["proxies extra", 'unexpected argument "extra"'],
  ["proxies -o table -o json", "given twice"],
  ["proxies --manager", "needs a value"],
  ["proxies --watch=maybe", "takes no value"],
  ["proxies --manager ftp://x", "is not an address"],
  ["apply", "nothing to read"],
  ["delete route-rule", "which route-rule?"],
  ["delete", "nothing to delete"],
  ["history route-rule", "name one KIND and NAME"],
  ["rollback route-rule a --to x", "--to is the number of a revision"],
  ["config", "which proxy?"],
  ["config a nonsense", "is not a part"],
  ["completion tcsh", "shells are bash, zsh and fish"],
  ["demo --duration long", "--duration is a number of seconds"],
  ["--nonsense", "unknown flag --nonsense"],
];

test.each(mistakes)("`mesh ctl %s` is a usage mistake", async (argv, says) => {
  const result = await ctl(argv.split(" "));
  expect(result).toMatchObject({ code: 2, out: "" });
  expect(result.err).toContain(says);
  expect(result.err).not.toMatch(/^\s+at /m);
});

test("an absent manager is one calm sentence and exit code 3", async () => {
  const env = { MESH_MANAGER: "127.0.0.1:1" };
  for (const argv of [["list"], ["apply", "-f", file("r.yaml", rule("v1"))], ["proxies"]]) {
    const result = await ctl(argv, { env });
    expect(result.code).toBe(3);
    expect(result.err).toBe(
      "error: no manager answers at http://127.0.0.1:1\n" +
        "start one with `mesh manager`, or name another with --manager URL or MESH_MANAGER\n",
    );
  }
  expect((await ctl(["check"], { env })).code).toBe(3);
  const admin = await ctl(["config", "--admin", "127.0.0.1:1"], { env });
  expect(admin.code).toBe(3);
});

test("a file that is not there is told by name", async () => {
  const result = await ctl(["apply", "-f", join(directory, "none.yaml")]);
  expect(result).toMatchObject({
    code: 1,
    err: "error: cannot read none.yaml: there is no such file\n",
  });
});

test("colour on a terminal only, and never with NO_COLOR", async () => {
  const colour = "\u001b[";
  expect((await ctl(["--help"])).out).not.toContain(colour);
  expect((await ctl(["--help"], { isTty: true, env: {} })).out).toContain(colour);
  expect((await ctl(["--help"], { isTty: true, env: { NO_COLOR: "1" } })).out).not.toContain(
    colour,
  );
});

test.each(commands.map(({ name }) => name))("`mesh ctl %s --help` has an example", async (name) => {
  const help = await ctl([name, "--help"]);
  expect(help).toMatchObject({ code: 0, err: "" });
  expect(help.out).toContain(`mesh ctl ${name}`);
  expect(help.out).toContain("Examples");
});

test("policy is applied, listed by any word for its kind, shown and deleted", async () => {
  const text = `apiVersion: config.istio.io/v1alpha2
kind: denier
metadata: { name: no }
spec: { status: { code: 7 } }
---
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: log }
spec: { compiledAdapter: stdio }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: limit }
spec: { rateLimit: 10/s by source.user, actions: [{ handler: no.denier, instances: [n] }] }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: n }
spec: { compiledTemplate: checknothing }
`;
  expect((await ctl(["apply", "-f", file("policy.yaml", text)])).code).toBe(0);
  const names = async (...words: string[]): Promise<string[]> =>
    (await ctl(["get", ...words, "-o", "name"])).out.trim().split("\n");
  expect(await names("rules")).toEqual(["rule/default/limit"]);
  expect(await names("handlers")).toEqual(["denier/default/no", "handler/default/log"]);
  expect(await names("denier")).toEqual(["denier/default/no"]);
  expect((await ctl(["get", "rules"])).out).toContain("no.denier ← n + limit 10/1s by source.user");
  expect((await ctl(["get", "denier", "no"])).out).toContain("kind: denier");
  expect((await ctl(["get", "handler", "no"])).code).toBe(1);
  const used = await ctl(["delete", "denier", "no"]);
  expect(used.code).toBe(1);
  expect(used.err).toContain("still in use: limit.rule.default: Handler not found");
  const deleted = await ctl(["delete", "-f", file("policy.yaml", text)]);
  expect(deleted).toMatchObject({ code: 0, err: "" });
  expect((await ctl(["get", "denier", "no"])).code).toBe(1);
});

test("shells learn commands, flags, values, kinds and names", async () => {
  await ctl(["apply", "-f", file("rule.yaml", rule("v1"))]);
  const complete = async (...words: string[]): Promise<string[]> =>
    (await ctl(["complete", "--", ...words])).out.trim().split("\n");
  expect(await complete("va")).toEqual(["validate"]);
  expect(await complete("get", "route")).toEqual(["route-rules"]);
  expect(await complete("get", "quota")).toEqual(["quota-specs", "quota-spec-bindings", "quota"]);
  expect(await complete("get", "route-rule", "")).toEqual(["reviews-default"]);
  expect(await complete("get", "-o", "j")).toEqual(["json"]);
  expect(await complete("diff", "--e")).toEqual(["--exit-code"]);
  await ctl(["delete", "rr", "reviews-default"]);
});
