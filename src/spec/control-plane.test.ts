/** The control plane as real processes meet it: users of one machine, other machines, scanners. */
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { startSidecar } from "./mesh.ts";
import { ctl, meshBinary, type Running, Stage, until } from "./process.ts";
import { expectStrong, sslscan } from "./tls-scan.ts";

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const isComplete = process.env.CI === "true";
const stage = new Stage();
afterAll(() => stage.close());

interface Control {
  readonly running: Running;
  /** In plaintext, on loopback. */
  readonly url: string;
  /** Over TLS. */
  readonly secure: string;
  readonly http: number;
}

async function startControl(name: string, ...flags: readonly string[]): Promise<Control> {
  const [api, secure, http] = freePorts(3);
  const running = stage.mesh([
    ...["manager", "--listen", `127.0.0.1:${api}`, "--secure-listen", `127.0.0.1:${secure}`],
    ...["--http", `127.0.0.1:${http}`, "--metrics", "off"],
    ...["--data-dir", join(stage.directory, name), ...flags],
  ]);
  await until(`the manager to be ready; it said ${running.output()}`, () =>
    running.output().includes("mesh manager ready"),
  );
  const [url, over] = [`http://127.0.0.1:${api}`, `https://127.0.0.1:${secure}`];
  return { running, url, secure: over, http: http! };
}

/** The output of a program as somebody else. */
async function asNobody(...command: readonly string[]): Promise<string> {
  const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  const { child, output } = stage.run(["setpriv", ...user, ...command], { HOME: "/tmp" });
  await child.exited;
  await until("its output", () => output() !== "");
  return output();
}

/** A token as `mesh ctl` prints it, in a file. */
async function tokenFile(name: string, url: string, ...words: readonly string[]): Promise<string> {
  const { code, out, err } = await ctl(...words, "--manager", url);
  expect([code, err]).toEqual([0, expect.any(String)]);
  const [token = ""] = /mesh(1|-access)\.\S+/.exec(out) ?? [];
  return stage.file(name, `${token}\n`);
}

test.skipIf(!isRoot && !isComplete)(
  "another user of this machine is nobody, unless told",
  async () => {
    expect(isRoot).toBe(true);
    const { url, http } = await startControl("users");
    expect((await ctl("list", "--manager", url)).code).toBe(0);
    expect(await asNobody(meshBinary, "ctl", "list", "--manager", url)).toContain(
      "who calls is not known",
    );
    const page = `http://127.0.0.1:${http}/api/v1/state`;
    expect((await fetch(page)).status).toBe(200);
    expect(await asNobody("curl", "-s", page)).toBe("log in to see this\n");
    const audit = (await ctl("audit", "--refused", "--manager", url)).out;
    expect(audit).toContain(`a process of user ${NOBODY}`);
    const told = await startControl("told", "--local-user", String(NOBODY));
    expect(await asNobody(meshBinary, "ctl", "list", "--manager", told.url)).toContain(
      "No resources found",
    );
  },
);

test("a proxy joins over TLS by a token, and people call by theirs", async () => {
  const { url, secure } = await startControl("tokens");
  const join = ["token", "create", "--service", "reviews.default"];
  const joinToken = await tokenFile("join.token", url, ...join);
  const app = stage.application("reviews was here");
  const proxy = ["--service", "reviews.default", "--app-port", String(app)];
  await startSidecar(stage, [...proxy, "--manager", secure, "--token", joinToken]);
  const viewer = await tokenFile(
    "viewer.token",
    url,
    ...["access-token", "create", "ann", "--role", "viewer"],
  );
  const by = ["--manager", secure, "--token", viewer];
  await until("the proxy to be there", async () =>
    (await ctl("proxies", ...by)).out.includes("synced"),
  );
  expect((await ctl("services", ...by)).out).toContain("reviews");
  const rule = stage.file(
    "rule.yaml",
    "type: route-rule\nname: r\nspec:\n  destination: reviews.default.svc.cluster.local\n",
  );
  const refused = await ctl("apply", "-f", rule, ...by);
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("role operator")]);
  expect((await ctl("list", "--manager", secure)).code).toBe(2);
  const audit = (await ctl("audit", "--manager", url)).out;
  expect(audit).toMatch(/certificate issued .*spiffe:\/\/cluster.local\/ns\/default\/sa\/reviews/);
  expect(audit).toMatch(/ann .*call refused .*ConfigService\/Apply/);
});

test("a mixer joins over TLS by a token of its own, and comes again by what it kept", async () => {
  const { url, secure } = await startControl("mixer");
  const create = (service: string) => ["token", "create", "--service", service];
  const token = await tokenFile("mixer.token", url, ...create("mesh-mixer.mesh-system"));
  const foreign = await tokenFile("web.token", url, ...create("web.default"));
  const start = (id: string, ...flags: readonly string[]): Running =>
    stage.mesh([
      ...["mixer", "--listen", "127.0.0.1:0", "--metrics", "off", "--admin", "off", "--id", id],
      ...["--manager", secure, "--state-dir", join(stage.directory, id), ...flags],
    ]);
  const isSynced = async (id: string): Promise<boolean> => {
    const { out } = await ctl("proxies", "--manager", url);
    return out.split("\n").some((line) => line.startsWith(id) && line.includes("synced"));
  };
  const kept = ["--identity-file", join(stage.directory, "mixer.pem")];
  const first = start("first", "--token", token, ...kept);
  await until(`the mixer to be there; it said ${first.output()}`, () => isSynced("first"));
  first.child.kill("SIGTERM");
  await first.child.exited;
  start("again", "--token", token, ...kept);
  await until("the mixer to be there again", () => isSynced("again"));
  start("other", "--token", foreign);
  await until("the manager to refuse who is no mixer", async () =>
    (await ctl("audit", "--refused", "--manager", url)).out.includes(
      "does not stand for mesh-mixer",
    ),
  );
  expect(await isSynced("other")).toBe(false);
});

test.skipIf(sslscan.skipped)("sslscan finds nothing weak on the port", async () => {
  const { secure } = await startControl("scan");
  await expectStrong(stage, secure.replace("https://", ""));
});
