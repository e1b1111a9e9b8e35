/** Tokens and certificates as an operator has to do with them, against a real manager. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../core/clock.ts";
import { createCertificateRequest } from "../io/certificate-request.ts";
import { type IdentityManager, openIdentityManager } from "../testing/identity-manager.ts";
import { runCtl } from "./run.ts";

const directory = mkdtempSync(join(tmpdir(), "mesh-ctl-identity-"));
let one: IdentityManager;
beforeAll(async () => {
  one = await openIdentityManager();
});
afterAll(async () => {
  await one.stop();
  rmSync(directory, { recursive: true });
});

async function ctl(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await runCtl(argv, {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    readStdin: async () => "",
    ...{ stdinIsTty: true, isTty: false, columns: 100, clock: systemClock },
    env: { MESH_MANAGER: one.plainUrl },
  });
  return { code, out, err };
}

test("a join token is all that stdout says, so that it can be put in a file", async () => {
  const { code, out, err } = await ctl("token", "create", "--service", "reviews.default");
  expect(code).toBe(0);
  expect(out).toMatch(/^mesh1\.[0-9a-f]{12}\.[\w-]{43}\.[\w-]{43}\n$/);
  const id = out.split(".")[1]!;
  expect(err).toMatch(
    /^join token [0-9a-f]{12} for spiffe:\/\/cluster.local\/ns\/default\/sa\/reviews: good once/,
  );
  const list = await ctl("token", "list");
  expect(list.out).toMatch(
    new RegExp(`${id}  spiffe://.*/sa/reviews  reviews.default  sidecar  -  +0/1`),
  );
  expect(list.out).not.toContain(out.split(".")[2]!);
  expect(await ctl("token", "revoke", id)).toMatchObject({ out: `join token ${id} revoked\n` });
  expect((await ctl("token", "list")).out).toContain("revoked");
});

test("a join token may be for many, for long, and for another account", async () => {
  const wish = ["--service-account", "default/bookinfo", "--uses", "20", "--expires", "30d"];
  const { out } = await ctl("token", "create", "-s", "web", ...wish, "-o", "json");
  expect(JSON.parse(out)).toMatchObject({
    token: expect.stringMatching(/^mesh1\./),
    identity: "spiffe://cluster.local/ns/default/sa/bookinfo",
    service: "web.default",
    uses: 20,
    used: 0,
    author: "loopback",
  });
});

test("a join token may be for a gateway, and for one version only", async () => {
  const gateway = await ctl("token", "create", "-s", "edge.default", "--mode", "gateway");
  const labels = ["--labels", "version=v1", "--labels", "app=reviews"];
  const v1 = await ctl("token", "create", "-s", "reviews", ...labels, "-o", "json");
  const { out } = await ctl("token", "list");
  expect(out).toMatch(/^ID +IDENTITY +SERVICE +MODE +LABELS +USED +STATE/);
  const row = (text: string): string =>
    out.split("\n").find((line) => line.startsWith(text.split(".")[1]!))!;
  expect(row(gateway.out)).toMatch(/ edge\.default +gateway +- +0\/1 /);
  const made = JSON.parse(v1.out);
  expect(made).toMatchObject({ mode: "sidecar", labels: { app: "reviews", version: "v1" } });
  expect(row(made.token)).toMatch(/ reviews\.default +sidecar +app=reviews,version=v1 +0\/1 /);
  for (const [flag, value] of [
    ["--mode", "mixer"],
    ["--labels", "v1"],
    ["--labels", "version=v1,version=v2"],
    ["--labels", "=v1"],
  ] as const) {
    const { code, err } = await ctl("token", "create", "-s", "reviews", flag, value);
    expect([code, err]).toEqual([2, expect.stringContaining(flag)]);
  }
  const { err } = await ctl("token", "create", "-s", "reviews", "--labels", "version=a b");
  expect(err).toContain("characters other than letters, digits and -_./");
});

test("an access token lets somebody in, by TLS, knowing nothing else", async () => {
  const { out, err } = await ctl("access-token", "create", "ann", "--role", "operator");
  expect(err).toMatch(/^access token [0-9a-f]{12} for ann, operator: good until 20/);
  const file = join(directory, "ann.token");
  writeFileSync(file, out);
  const ann = ["--manager", one.secureUrl, "--token", file];
  expect(await ctl("certs", ...ann)).toMatchObject({ code: 0 });
  const denied = await ctl("token", "create", "-s", "reviews", ...ann);
  expect(denied).toMatchObject({ code: 1, out: "" });
  expect(denied.err).toContain("the role admin is needed");
  const id = out.split(".")[1]!;
  expect((await ctl("access-token", "list")).out).toMatch(new RegExp(`${id}  ann +operator  in 8`));
  await ctl("access-token", "revoke", id);
  const lasting = await ctl("access-token", "create", "bot", "--expires", "never");
  expect(lasting).toMatchObject({ code: 0 });
  expect(lasting.err).toContain("good until it is revoked");
  expect(await ctl("certs", ...ann)).toMatchObject({ code: 1, out: "" });
});

test("certs shows who signs, whom to trust, and what was issued", async () => {
  const { out } = await ctl("certs");
  expect(out).toContain("trust domain cluster.local\ncertificates live for 24 h\n");
  expect(out).toMatch(/^root +O?.*Mesh root .* 20\d\d-\d\d-\d\d {2}in 9y/m);
  const roots = await ctl("certs", "roots");
  expect(new X509Certificate(roots.out).ca).toBe(true);
  const issued = await ctl("certs", "issued");
  expect(issued.out).toMatch(/^ISSUED +IDENTITY +MODE +LABELS +EXPIRES +BY +FROM +SERIAL/);
  expect(issued.out).toMatch(/\/ns\/mesh-system\/sa\/mesh-manager +sidecar +- +in 23h +itself/);
});

test("certs issued shows what the credential of a certificate bound it to", async () => {
  const bound = ["-s", "edge.default", "--mode", "gateway", "--labels", "version=v1,app=edge"];
  const { out: token } = await ctl("token", "create", ...bound);
  await one.local.identity.issueCertificate({
    csrPem: (await createCertificateRequest("")).csrPem,
    credential: { case: "joinToken", value: token.trim() },
  });
  const { out } = await ctl("certs", "issued", "--limit", "1");
  expect(out).toMatch(/ns\/default\/sa\/edge +gateway +app=edge,version=v1 +in 23h +join token /);
  const json = JSON.parse((await ctl("certs", "issued", "--limit", "1", "-o", "json")).out);
  expect(json.items).toMatchObject([{ mode: "gateway", labels: { app: "edge", version: "v1" } }]);
});

test("certs rotate makes a root that signs later, and sooner if asked again", async () => {
  const { out } = await ctl("certs", "rotate");
  expect(out).toMatch(/^coming root .* signs in (23|24)h/m);
  const hurried = await ctl("certs", "rotate", "--after", "1h");
  expect(hurried.out).toMatch(/^coming root .* signs in (59|60)m/m);
  const json = JSON.parse((await ctl("certs", "-o", "json")).out);
  expect(json.certificates.map(({ role }: { role: string }) => role)).toEqual([
    "root",
    "coming root",
  ]);
});

test("certs of a proxy are what its admin port says", async () => {
  const page = {
    ...{ identity: "spiffe://cluster.local/ns/default/sa/web", trustDomain: "cluster.local" },
    renewsAt: "2026-01-01T12:00:00.000Z",
    chain: [{ uris: ["spiffe://cluster.local/ns/default/sa/web"], serial: "4a", sha256: "ab" }],
    roots: [{ uris: [], subject: "CN=Mesh root", notAfter: "2036-01-01T00:00:00.000Z" }],
  };
  const fetch = ({ url }: Request): Response =>
    url.endsWith("/certs") ? Response.json(page) : new Response("no", { status: 404 });
  const admin = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch });
  const { code, out } = await ctl("certs", "--admin", `127.0.0.1:${admin.port}`);
  expect(code).toBe(0);
  expect(out).toContain("spiffe://cluster.local/ns/default/sa/web, renewed at 2026-01-01T12:00");
  expect(out).toMatch(/^CN=Mesh root +2036-01-01T00:00:00.000Z {2}in/m);
  await admin.stop(true);
  expect(await ctl("certs", "--admin", `127.0.0.1:${admin.port}`)).toMatchObject({ code: 3 });
  expect((await ctl("certs", "nobody")).err).toContain("no proxy is called nobody");
});

test.each([
  [["token", "make"], 'token "make": create, list or revoke'],
  [["token", "create"], "for whom?"],
  [["token", "create", "-s", "a", "--uses", "0"], "--uses is a number from 1"],
  [["token", "create", "-s", "a", "--expires", "soon"], '--expires "soon" is no duration'],
  [["token", "revoke"], "revoke which?"],
  [["access-token", "create"], "for whom?"],
  [["access-token", "create", "ann", "--role", "king"], '"king"'],
  [["access-token", "create", "ann", "--expires", "0s"], "would be no token at all"],
  [["authz"], "who may call whom?"],
  [["authz", "may", "a", "b"], "who may call whom?"],
  [["authz", "can", "a"], "who may call whom?"],
  [["authz", "can", "a", "b", "GET", "/", "c"], "what is c?"],
  [["authz", "can", "a", "b", "TCP", "/"], "what is /?"],
  [["certs", "issued", "--limit", "0"], "--limit is a number from 1"],
  [["certs", "rotate", "--after", "-1h"], "is no duration"],
  [["certs", "a", "b"], 'unexpected argument "b"'],
])("%j is called wrong", async (argv, said) => {
  const { code, err } = await ctl(...argv);
  expect(code).toBe(2);
  expect(err).toContain(said);
});
