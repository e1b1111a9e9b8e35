/** `mesh ctl demo`: starts, serves the page through sidecars, obeys rules, and leaves nothing. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { type RunningDemo, startDemo } from "./demo.ts";
import { ctl, until } from "./process.ts";

interface Demo extends RunningDemo {
  /** Its own, its children's and theirs. */
  readonly pids: readonly number[];
}

const started: Bun.Subprocess[] = [];
afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
});

async function start(): Promise<Demo> {
  const { child, ready } = await startDemo((one) => started.push(one));
  const children = Object.values(ready.pids);
  return { child, ready, pids: [child.pid, ...children, ...children.flatMap(childrenOf)] };
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

/** A zombie has ended: nobody has asked for its exit code yet. */
function runs(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

async function reviewsOf(page: string, user = ""): Promise<string> {
  const response = await fetch(page, { headers: user === "" ? {} : { cookie: `user=${user}` } });
  expect(response.status).toBe(200);
  await response.text();
  return response.headers.get("x-bookinfo-reviews") ?? "";
}

test("two demos at once; a rule moves traffic; Ctrl-C and a kill leave nothing", async () => {
  const [first, second] = [await start(), await start()];
  expect(new Set([first.ready.page, second.ready.page]).size).toBe(2);
  expect(new Set([first.ready.manager, second.ready.manager]).size).toBe(2);
  expect(first.pids.length).toBe(1 + 8 + 7);
  expect((await ctl("check", "--manager", first.ready.manager)).code).toBe(0);
  expect((await fetch(first.ready.dashboard)).status).toBe(200);

  const seen = new Set<string>();
  await until("each version to be seen", async () => {
    seen.add(await reviewsOf(first.ready.page));
    return seen.size === 3;
  });
  expect([...seen].sort()).toEqual(["v1", "v2", "v3"]);
  for (const name of ["all-v1.yaml", "test-user-v2.yaml"]) {
    const file = `${first.ready.rules}/${name}`;
    const applied = await ctl("apply", "-f", file, "--manager", first.ready.manager);
    expect({ code: applied.code, err: applied.err }).toEqual({ code: 0, err: "" });
  }
  let streak = 0;
  await until("the rules to hold", async () => {
    const pair = [
      await reviewsOf(first.ready.page),
      await reviewsOf(first.ready.page, "test-user"),
    ];
    streak = pair.join() === "v1,v2" ? streak + 1 : 0;
    return streak >= 10;
  });
  expect(await reviewsOf(second.ready.page, "test-user")).toMatch(/^v[123]$/);

  first.child.kill("SIGINT");
  expect(await first.child.exited).toBe(0);
  expect(first.pids.filter(runs)).toEqual([]);
  expect(existsSync(dirname(first.ready.rules))).toBe(false);
  expect(await reviewsOf(second.ready.page)).toMatch(/^v[123]$/);

  second.child.kill("SIGKILL");
  await until("the guard to tidy up", async () => !second.pids.some(runs), 10_000);
  await until("its directory to go", async () => !existsSync(dirname(second.ready.rules)), 10_000);
}, 90_000);

test("guests are denied by a list and by a limit, visitors are not, and ctl says why", async () => {
  const { child, ready } = await start();
  const { page, manager, rules, denied } = ready;
  const visit = async (guest?: string): Promise<Response> =>
    await fetch(page, { headers: guest === undefined ? {} : { "x-guest": guest } });
  const apply = async (name: string): Promise<void> => {
    const { code, err } = await ctl("apply", "-f", `${rules}/${name}`, "--manager", manager);
    expect({ code, err }).toEqual({ code: 0, err: "" });
  };
  await apply("deny-list.yaml");
  await until("mallory to be denied", async () => (await visit("mallory")).status === 403);
  const reason = (await visit("mallory")).headers.get("x-mesh-reason");
  expect(reason).toBe("policy-denied; denied-guests.rule.default");
  expect((await visit("ann")).status).toBe(200);
  expect((await visit()).status).toBe(200);
  expect((await fetch(denied, { method: "PUT", body: "eve" })).status).toBe(200);
  await until("eve to be denied", async () => (await visit("eve")).status === 403);
  expect((await visit("mallory")).status).toBe(200);

  await apply("rate-limit.yaml");
  let bob = 0;
  await until("one guest to be limited", async () => (await visit(`bob${bob}`)).status === 429);
  bob++;
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) statuses.push((await visit(`bob${bob}`)).status);
  expect(statuses).toEqual([200, 200, 200, 429]);
  for (let i = 0; i < 8; i++) expect((await visit()).status).toBe(200);

  const shown = await ctl("config", "productpage", "policy", "--manager", manager);
  expect(shown.out).toMatch(/^denied-guests\.default +proxy +[1-9]\d* +[1-9]/m);
  const told = await ctl("explain", "rule", "denied-guests", "--manager", manager);
  expect(told).toMatchObject({ code: 0, err: "" });
  expect(told.out).toMatch(/^ {2}written +\S+deny-list\.yaml:3$/m);
  expect(told.out).toMatch(
    /^check +denied-guests\[0\]\.handler\.default \(listchecker\) .* proxy$/m,
  );
  expect(told.out).toMatch(/^productpage-v1 +[1-9]\d* +[1-9]/m);
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
}, 90_000);

test("ratings are for the reviews alone, who prove who they are, and ctl says so", async () => {
  const { child, ready } = await start();
  const { manager, rules, details, page } = ready;
  const by = ["--manager", manager];
  const asDetails = async (id: string): Promise<number> => {
    const curl = ["curl", "-so", "/dev/null", "-w", "%{http_code}", "-x"];
    const how = [`http://127.0.0.1:${details}`, "-H", `x-request-id: ${id}`];
    const asked = Bun.spawn([...curl, ...how, "http://ratings:9080/ratings/0"], { stdout: "pipe" });
    return Number(await new Response(asked.stdout).text());
  };
  expect(await asDetails("before")).toBe(200);
  const applied = await ctl("apply", "-f", `${rules}/only-reviews.yaml`, ...by);
  expect({ code: applied.code, err: applied.err }).toEqual({ code: 0, err: "" });
  await until("details to be refused", async () => (await asDetails("stars")) === 403);
  const can = async (source: string) =>
    await ctl("authz", "can", source, "ratings", "GET", "/ratings/0", ...by);
  expect((await can("reviews")).out).toMatch(/^allowed$/m);
  expect((await can("details")).out).toMatch(/^denied$/m);
  const why = await ctl("explain", "denial", "stars", ...by);
  expect(why.err).toBe("");
  expect(why.out).toContain("cluster.local/ns/default/sa/details");
  for (let i = 0; i < 6; i++) {
    const { status, headers } = await fetch(page);
    expect([status, headers.get("x-bookinfo-ratings")]).not.toEqual([200, "unavailable"]);
  }
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
}, 90_000);

test("a child that crashes ends the demo, which says which and why", async () => {
  const { child, ready, pids } = await start();
  process.kill(ready.pids["reviews-v2"]!, "SIGKILL");
  expect(await child.exited).toBe(1);
  expect(pids.filter(runs)).toEqual([]);
}, 60_000);

test("--once looks at twenty pages and ends", async () => {
  const once = await ctl("demo", "--once");
  expect(once.err).toBe("");
  expect(once.code).toBe(0);
  expect(once.out).toMatch(/\n20 pages, 0 errors, /);
}, 60_000);
