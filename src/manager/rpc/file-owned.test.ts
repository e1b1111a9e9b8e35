/** Rules in files and rules put by the API, side by side: who owns what. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { ApplyMode, ConfigService, StatusService } from "../../api/gen/mesh/v1/config_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { Manager } from "../manager.ts";
import { forgetfulWorkloadStore } from "../registry/workload-store.ts";
import { DirectoryStore } from "../store/directory-store.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { apiRoutes } from "./routes.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function policy(name: string, version: string): string {
  return `apiVersion: config.istio.io/v1alpha2
kind: DestinationPolicy
metadata: { name: ${name} }
spec:
  destination: { name: reviews, labels: { version: ${version} } }
  loadBalancing: { name: RANDOM }
`;
}

function route(version: string): string {
  return `apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: route }
spec:
  destination: { name: reviews }
  route: [{ labels: { version: ${version} } }]
`;
}

async function open() {
  const directory = mkdtempSync(join(tmpdir(), "mesh-owned-"));
  writeFileSync(join(directory, "kept.yaml"), policy("kept", "v1"));
  const [namespace, domain] = ["default", "cluster.local"];
  const manager = await Manager.open({
    clock: systemClock,
    log: new Log("manager", { level: "error" }, () => {}),
    store: new MemoryStore(systemClock),
    files: new DirectoryStore({ paths: [directory], namespace, domain }),
    workloads: forgetfulWorkloadStore,
    namespace,
    domain,
    leaseMs: 10_000,
  });
  closing.push(
    () => rmSync(directory, { recursive: true }),
    () => manager.close(),
  );
  const transport = createRouterTransport(apiRoutes(manager));
  const config = createClient(ConfigService, transport);
  const status = createClient(StatusService, transport);
  const apply = (text: string) =>
    config.apply({ documents: [{ file: "put.yaml", text }], mode: ApplyMode.APPLY });
  const told = async () => (await status.listProblems({})).problems;
  return { manager, config, apply, directory, told };
}

const kept = { kind: "DestinationPolicy", namespace: "default", name: "kept" };

test("an object in a file is seen with the others, and changed nowhere else", async () => {
  const { config, apply, directory } = await open();
  await apply(policy("put", "v1"));
  const { objects } = await config.list({});
  expect(objects.map(({ name, author }) => [name, author])).toEqual([
    ["kept", "file"],
    ["put", ""],
  ]);
  const { problems } = await apply(policy("kept", "v2"));
  expect(problems.map(({ message }) => message)).toContain(
    `DestinationPolicy/default/kept is kept in ${join(directory, "kept.yaml")}: change it there`,
  );
  expect((await config.get(kept)).text).toContain("version: v1");
  const code = async (call: Promise<unknown>) =>
    await call.then(
      () => 0,
      (e) => ConnectError.from(e).code,
    );
  expect(await code(config.delete({ objects: [kept] }))).toBe(Code.FailedPrecondition);
  expect(await code(config.rollback(kept))).toBe(Code.FailedPrecondition);
});

test("problems between objects follow every change, whoever made it", async () => {
  const { manager, apply } = await open();
  const unused = (): boolean =>
    manager.problems().some(({ message }) => message.includes("no route rule names version=v1"));
  expect(unused()).toBe(true);
  await apply(route("v1"));
  expect(unused()).toBe(false);
  await apply(route("v2"));
  expect(unused()).toBe(true);
});

test("a file that is edited badly keeps its objects, and everybody who asks is told", async () => {
  const { directory, told, config } = await open();
  const path = join(directory, "kept.yaml");
  writeFileSync(path, policy("kept", "v1").replace("RANDOM", "RANDON"));
  while (!(await told()).some(({ message }) => message.includes('not "RANDON"')))
    await Bun.sleep(5);
  expect((await config.get(kept)).text).toContain("RANDOM");
  expect((await told())[0]).toMatchObject({ position: { file: path, line: 6 } });
});

test("an object that was put and then is in a file too is the file's, which is told", async () => {
  const { directory, told, config, apply } = await open();
  await apply(route("v1"));
  expect((await told()).map(({ message }) => message)).not.toContainEqual(
    expect.stringContaining("stored"),
  );
  const path = join(directory, "route.yaml");
  writeFileSync(path, route("v2"));
  const hidden = "RouteRule/default/route is also stored, at revision 1: this file is used";
  while (!(await told()).some(({ message }) => message === hidden)) await Bun.sleep(5);
  expect((await config.get({ kind: "RouteRule", name: "route" })).text).toContain("v2");
});

test("what is wrong with an object is told to who puts it, not to who puts another", async () => {
  const { config, told } = await open();
  const put = async (text: string) =>
    (await config.apply({ documents: [{ file: "stdin", text }], mode: ApplyMode.APPLY })).problems;
  const other = policy("other", "v1").replace(", labels: { version: v1 }", "");
  expect((await put(policy("idle", "v7"))).map(({ message }) => message)).toEqual([
    expect.stringContaining("no service reviews"),
    expect.stringContaining("no route rule names version=v7"),
  ]);
  expect((await put(other)).map(({ message }) => message)).toEqual([
    expect.stringContaining("no service reviews"),
  ]);
  expect((await told()).map(({ message }) => message)).toContainEqual(
    expect.stringContaining("no route rule names version=v7"),
  );
});
