/**
 * What joins by a token, by the built binary: a gateway only by a gateway's, one version only as
 * that version, and nobody for longer than the token counts.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { Edge } from "./edge.ts";
import { get, type Sidecar, startSidecar, untilKnown } from "./mesh.ts";
import { ctl, type Running, Stage, until } from "./process.ts";

setDefaultTimeout(60_000);
const stage = new Stage();
afterAll(() => stage.close());

const [plain, secure] = freePorts(2) as [number, number];
const local = ["--manager", `http://127.0.0.1:${plain}`];
const remote = ["--manager", `https://127.0.0.1:${secure}`];

beforeAll(async () => {
  const manager = stage.mesh([
    ...["manager", "--listen", `127.0.0.1:${plain}`, "--secure-listen", `127.0.0.1:${secure}`],
    ...["--http", "off", "--metrics", "off", "--data-dir", join(stage.directory, "manager")],
  ]);
  await until(`a manager; it said ${manager.output()}`, () => /ready/.test(manager.output()));
});

/** In a file. */
async function newToken(service: string, ...flags: readonly string[]) {
  const { out } = await ctl(...["token", "create", "-s", service, ...flags, ...local]);
  expect(out).toMatch(/^mesh1\./);
  return { id: out.split(".")[1]!, flags: ["--token", stage.file(`${service}.token`, out)] };
}

/** Who is not let in goes on asking, and says why. */
function start(...args: readonly string[]): Running {
  const port = (): string => `127.0.0.1:${freePorts(1)[0]}`;
  const ports = ["--admin", port(), "--readiness", port()];
  const state = ["--state-dir", join(stage.directory, `state-${freePorts(1)[0]}`)];
  return stage.mesh(["proxy", ...ports, ...state, ...remote, ...args]);
}

const audit = async (): Promise<string> => (await ctl("audit", "--refused", ...local)).out;

test("a gateway joins by a token of a gateway, and a sidecar's gets it nothing", async () => {
  const sidecars = await newToken("edge.default");
  const edge = ["--service", "edge.default"];
  const gateway = ["--mode", "gateway", "--http-port", "0", "--https-port", "0"];
  const refused = start(...gateway, ...edge, ...sidecars.flags);
  await until(`a refusal; it said ${refused.output()}`, () =>
    refused.output().includes("and no gateway's: a gateway joins by a token of"),
  );
  expect(await audit()).toMatch(/certificate refused +edge\.default .*no gateway's/);
  refused.child.kill();
  const { out } = await ctl("token", "list", ...local);
  expect(out).toMatch(new RegExp(`${sidecars.id} .* sidecar +- +0/1 +good`));
  const { flags } = await newToken("edge.default", "--mode", "gateway");
  const { admin } = await new Edge(stage).start([...remote, ...edge, ...flags]);
  const certs = await ctl("certs", "--admin", `127.0.0.1:${admin}`, ...local);
  expect(certs.out).toContain("spiffe://cluster.local/ns/default/sa/edge");
  expect((await ctl("proxies", ...local)).out).toMatch(/edge-.* synced/);
});

test("who joins as one version is no other", async () => {
  const labels = ["--labels", "version=v1", "--uses", "2"];
  const { flags } = await newToken("reviews.default", ...labels);
  const reviews = ["--service", "reviews.default", ...flags];
  const ports = ["--outbound", "127.0.0.1:0", "--inbound", "127.0.0.1:0"];
  const refused = start(...reviews, ...ports, "--labels", "version=v2");
  await until(`a refusal; it said ${refused.output()}`, () =>
    refused.output().includes("sa/reviews joined as version=v1, and not as version=v2"),
  );
  refused.child.kill();
  expect(await audit()).toMatch(/call refused +proxy reviews-.*\.default .*joined as version=v1/);
  // It has them from its token, and says so itself.
  const { admin } = await startSidecar(stage, [...remote, ...reviews]);
  await until("its labels", async () =>
    /reviews-.* version=v1/.test((await ctl("proxies", ...local)).out),
  );
  const dump = await (await fetch(`http://127.0.0.1:${admin}/config_dump`)).json();
  expect(dump).toMatchObject({ node: { labels: { version: "v1" } } });
});

test("a revoked token ends what began with it, and traffic knows it no more", async () => {
  const serving = (service: string, body: string): string[] => [
    ...["--service", service, "--app-port", String(stage.application(body))],
    ...["--service-port", "80"],
  ];
  const { id, flags } = await newToken("web.default");
  const web: Sidecar = await startSidecar(stage, [...remote, ...serving("web", "web"), ...flags]);
  const other = await startSidecar(stage, [...local, ...serving("other", "other")]);
  await untilKnown(other, "web");
  await untilKnown(web, "other");
  expect((await get(other.outbound, "web")).body).toBe("web");
  expect((await get(web.outbound, "other")).body).toBe("other");
  expect((await ctl("token", "revoke", id, ...local)).code).toBe(0);
  await until(
    "nobody to be sent there",
    async () => (await get(other.outbound, "web")).status === 503,
  );
  expect((await ctl("proxies", ...local)).out).not.toContain("web-");
  await until(`its reason; it said ${web.running.output()}`, () =>
    web.running.output().includes(`join token ${id}, by which it came, was revoked`),
  );
  expect(await audit()).toMatch(new RegExp(`proxy web-.*\\.default .*join token ${id}, by which`));
  // What it was configured with last is in force still, and so is its certificate.
  expect((await get(web.outbound, "other")).body).toBe("other");
});
