/**
 * What nobody but its owner is to read: files under a lax umask, and secrets in every place where
 * one can be given, looked for in all that is said about them.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { get, untilKnown } from "./mesh.ts";
import { ctl, meshBinary, type Running, Stage, until } from "./process.ts";

setDefaultTimeout(60_000);
const stage = new Stage();
afterAll(() => stage.close());

const [api, secure, http, outbound, inbound, admin, readiness] = freePorts(7) as number[];
const manager = `http://127.0.0.1:${api}`;
const by = ["--manager", manager];
const ofCallee = { outbound, inbound, admin, readiness };
let managing: Running;
let callee: Running;
/** By what it is. */
const secrets = new Map<string, string>();

/** As somebody would start it who gives others everything. */
function laxly(...words: readonly string[]): Running {
  return stage.run(["sh", "-c", `umask 000; exec "$0" "$@"`, meshBinary, ...words]);
}

beforeAll(async () => {
  managing = laxly(
    ...["manager", "--listen", `127.0.0.1:${api}`, "--secure-listen", `127.0.0.1:${secure}`],
    ...["--http", `127.0.0.1:${http}`, "--metrics", "off", "--log-level", "debug"],
    ...["--data-dir", join(stage.directory, "data")],
  );
  await until("the manager", () => managing.output().includes("ready"));
  const join1 = (await ctl("token", "create", "--service", "web.default", ...by)).out;
  const person = (await ctl("access-token", "create", "ann", "--role", "viewer", ...by)).out;
  secrets.set("join token", /mesh1\.[^.]+\.([^.\s]+)/.exec(join1)![1]!);
  secrets.set("access token", /mesh-access\S*\.(\S+)/.exec(person)?.[1] ?? person.trim());
  const rules = stage.file(
    "rules.yaml",
    `apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: counted, namespace: default }
spec:
  match: request.path == "/counted"
  actions:
  - handler:
      compiledAdapter: webhook
      params: { url: "http://user:hook-secret-7d1@127.0.0.1:9/x" }
    instances:
    - compiledTemplate: logentry
      params: { variables: {} }
`,
  );
  secrets.set("password in a URL", "hook-secret-7d1");
  const applied = await ctl("apply", "-f", rules, ...by);
  expect(applied).toMatchObject({ code: 0 });
  const app = stage.application("web was here");
  const ports = Object.entries(ofCallee).flatMap(([n, port]) => [`--${n}`, `127.0.0.1:${port}`]);
  callee = laxly(
    ...["proxy", "--manager", `https://127.0.0.1:${secure}`, "--service", "web.default", ...ports],
    ...["--token", stage.file("web.token", join1), "--log-level", "debug"],
    ...["--app-port", String(app), "--service-port", "8000"],
    ...["--state-dir", join(stage.directory, "state"), "--access-log", "/dev/stdout"],
    ...["--identity-file", join(stage.directory, "web.pem")],
  );
  const sidecar = { ...ofCallee, running: callee, args: [] } as never;
  await until(`its identity; it said ${callee.output()}`, () => / ready /.test(callee.output()));
  await untilKnown(sidecar, "web");
  // An authorization field and a cookie of a request, which are in no log either.
  secrets.set("bearer token of a request", "bearer-secret-5c2");
  secrets.set("cookie of a request", "cookie-secret-9e4");
  const headers = {
    authorization: "Bearer bearer-secret-5c2",
    cookie: "session=cookie-secret-9e4",
  };
  for (const path of ["/", "/counted", "/?access_token=x"])
    expect((await get(outbound!, "web:8000", path, headers)).status).toBe(200);
});

/** Every file, folder and socket below a folder, with its mode. */
function modesBelow(folder: string): ReadonlyMap<string, number> {
  const found = new Map([[folder, lstatSync(folder).mode]]);
  for (const name of readdirSync(folder, { recursive: true }) as string[])
    found.set(join(folder, name), lstatSync(join(folder, name)).mode);
  return found;
}

test("under a lax umask nobody else may read or call what they keep", () => {
  const kept = ["data", "state", "web.pem"].map((name) => join(stage.directory, name));
  const open: string[] = [];
  for (const path of kept) {
    const modes = lstatSync(path).isDirectory()
      ? modesBelow(path)
      : new Map([[path, lstatSync(path).mode]]);
    for (const [one, mode] of modes)
      if ((mode & 0o077) !== 0)
        open.push(`${one.slice(stage.directory.length)} ${(mode & 0o777).toString(8)}`);
  }
  expect(open).toEqual([]);
});

test("no secret is in a log, a page, a dump or an output", async () => {
  const said = new Map<string, string>([
    ["the manager's log", managing.output()],
    ["the proxy's log", callee.output()],
  ]);
  const pages = ["/config_dump", "/certs", "/clusters", "/stats", "/stats/prometheus", "/policy"];
  for (const path of [...pages, "/", "/ready", "/server_info", "/denials", "/logging"])
    said.set(path, await (await fetch(`http://127.0.0.1:${admin}${path}`)).text());
  for (const path of ["/", "/api/v1/state"])
    said.set(`dashboard ${path}`, await (await fetch(`http://127.0.0.1:${http}${path}`)).text());
  const commands: readonly (readonly string[])[] = [
    ...[["audit"], ["proxies"], ["services"], ["token", "list"], ["access-token", "list"]],
    ...[["certs"], ["certs", "issued"], ["check"], ["config", "web", "policy"]],
    ["explain", "rule", "counted"],
    ["certs", "--admin", `127.0.0.1:${admin}`],
  ];
  for (const words of commands) {
    const { out, err } = await ctl(...words, ...by);
    said.set(`mesh ctl ${words.join(" ")}`, out + err);
  }
  // Else there would have been nothing to be found.
  expect(said.get("/config_dump")).toContain("127.0.0.1:9/x");
  const leaks: string[] = [];
  secrets.set("a private key", "PRIVATE KEY");
  for (const [what, secret] of secrets)
    for (const [where, text] of said) if (text.includes(secret)) leaks.push(`${what}: ${where}`);
  expect(leaks).toEqual([]);
  expect([...said.values()].every((text) => text !== "")).toBe(true);
});

test("and in the environment and command line of no process", () => {
  for (const { child } of [managing, callee]) {
    const shown = ["environ", "cmdline"].map((name) =>
      readFileSync(`/proc/${child.pid}/${name}`, "latin1"),
    );
    for (const secret of secrets.values()) expect(shown.join("")).not.toContain(secret);
  }
});
