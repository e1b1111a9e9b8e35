/** Who may call whom in a running mesh: by identity, over mutual TLS, and why somebody may not. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { freePorts } from "../testing/free-port.ts";
import {
  get,
  type ManagerPorts,
  managerPorts,
  managerUrl,
  type Sidecar,
  startManager,
  startSidecar,
  untilKnown,
} from "./mesh.ts";
import { ctl, Stage, until } from "./process.ts";

const stage = new Stage();
const echo = Bun.listen({
  ...{ hostname: "127.0.0.1", port: 0 },
  socket: { data: (socket, bytes) => void socket.write(bytes) },
});
const HOST = "reviews:9080";
let ports: ManagerPorts;
let reviews: Sidecar;
let web: Sidecar;
let job: Sidecar;
/** The local port at which web calls the database. */
let databasePort = 0;
let jobDatabasePort = 0;

const atManager = (): string[] => ["--manager", managerUrl(ports)];

beforeAll(async () => {
  ports = managerPorts();
  await startManager(stage, ports);
  const [webPort = 0, jobPort = 0] = freePorts(2);
  databasePort = webPort;
  jobDatabasePort = jobPort;
  const app = [
    "--app-port",
    String(stage.application("ok")),
    "--service-port",
    "9080",
    "--labels",
    "app=reviews",
  ];
  reviews = await startSidecar(stage, [...atManager(), "--service", "reviews.default", ...app]);
  await startSidecar(stage, [
    ...[...atManager(), "--service", "db.default", "--labels", "app=db", "--protocol", "tcp"],
    ...["--app-port", String(echo.port), "--service-port", "7000"],
  ]);
  web = await startSidecar(stage, [
    ...[...atManager(), "--service", "web.default", "--tcp-listen", `${webPort}=db:7000`],
  ]);
  job = await startSidecar(stage, [
    ...[...atManager(), "--service", "job.default"],
    ...["--tcp-listen", `${jobPort}=db:7000`],
  ]);
  await untilKnown(web, "reviews");
  await until("job to know reviews", async () => (await asJob()).status === 200);
}, 90_000);

afterAll(async () => {
  echo.stop(true);
  await stage.close();
});

/** By nobody's sidecar, on a connection of its own. */
const inPlaintext = () => get(reviews.inbound, HOST, "/", { connection: "close" });
const asWeb = (path = "/", headers = {}) => get(web.outbound, HOST, path, headers);
const asJob = (path = "/", headers = {}) => get(job.outbound, HOST, path, headers);

function policyOf(name: string, spec: string, annotations = ""): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: default${annotations} }
spec: ${spec}
`;
}

/** Puts the policies in force, alone; the test says how it shows. */
async function withPolicies(text: string, shows: () => Promise<boolean>): Promise<void> {
  const file = stage.file("access.yaml", text);
  const { code, err } = await ctl("apply", ...atManager(), "-f", file);
  expect([err, code]).toEqual([err, 0]);
  await until("the policies to be in force", shows);
}

async function withoutPolicies(): Promise<void> {
  const file = `${stage.directory}/access.yaml`;
  const { code, err } = await ctl("delete", ...atManager(), "-f", file);
  // A policy may have been warned of.
  expect([err, code]).toEqual([err, 0]);
  await until("everybody to be let in", async () => (await asJob("/admin")).status === 200);
}

async function page(sidecar: Sidecar, path: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${sidecar.admin}${path}`)).text();
}

const WEB = "cluster.local/ns/default/sa/web";
const byGet = "to: [{ operation: { methods: [GET] } }]";
const fromWeb = `from: [{ source: { principals: ["${WEB}"] } }]`;
const forReviews = "selector: { matchLabels: { app: reviews } }";
const onlyWeb = policyOf("only-web", `{ ${forReviews}, rules: [{ ${fromWeb}, ${byGet} }] }`);

describe("a policy that allows one identity", () => {
  test("lets it in over mutual TLS, and refuses others with the standard text", async () => {
    await withPolicies(onlyWeb, async () => (await asJob()).status === 403);
    expect((await asWeb()).status).toBe(200);
    const { status, body, headers } = await asJob("/", { "x-request-id": "from-job" });
    expect([status, body]).toEqual([403, "RBAC: access denied"]);
    expect(headers.get("x-request-id")).toBe("from-job");
    expect(JSON.stringify([...headers])).not.toContain("only-web");
    const post = await fetch(`http://127.0.0.1:${web.outbound}/`, {
      ...{ method: "POST", headers: { host: HOST }, body: "x" },
    });
    expect(post.status).toBe(403);
    // Plaintext proves nothing.
    expect((await inPlaintext()).status).toBe(403);
  });

  test("is told of by explain denial, with what would be allowed", async () => {
    const { code, out, err } = await ctl("explain", "denial", "from-job", ...atManager());
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toStartWith("from-job\n");
    expect(out).toContain("answered 403");
    expect(out).toContain("AuthorizationPolicy/default/only-web (");
    expect(out).toContain("access.yaml:1)");
    expect(out).toContain("cluster.local/ns/default/sa/job, from 127.0.0.1");
    expect(out).toContain(`would allow it with principals ${WEB}`);
    const unknown = await ctl("explain", "denial", "nobody", ...atManager());
    expect(unknown.code).toBe(1);
    expect(unknown.err).toContain("no proxy remembers that it refused nobody");
    const anonymous = await inPlaintext();
    const id = anonymous.headers.get("x-request-id") ?? "none";
    const made = await ctl("explain", "denial", id, ...atManager());
    expect(made.out).toContain("nobody that proved who it is");
  });

  test("is on the admin port, in metrics and in the log", async () => {
    expect(await page(reviews, "/denials?id=from-job")).toContain(
      "AuthorizationPolicy/default/only-web",
    );
    expect(await page(reviews, "/stats/prometheus")).toMatch(
      /mesh_authorization_denied_total\{kind="authorization",policy="Auth.*only-web"\} \d/,
    );
    expect(reviews.running.output()).toContain("access denied");
  });

  test("is what authz can answers, without traffic", async () => {
    const can = (...words: readonly string[]) => ctl("authz", "can", ...words, ...atManager());
    const allowed = await can("web", "reviews", "GET", "/x");
    expect(allowed).toMatchObject({ code: 0, err: "" });
    expect(allowed.out).toContain("allowed\n");
    expect(allowed.out).toContain("AuthorizationPolicy/default/only-web rule 0 (");
    expect(allowed.out).toContain("PERMISSIVE: a call in plaintext is let in");
    const denied = await can("job", "reviews", "GET", "/x");
    expect(denied.code).toBe(1);
    expect(denied.out).toContain(`would allow it with principals ${WEB}`);
    expect((await can("web", "reviews", "DELETE", "/x")).out).toContain("with methods GET");
    expect((await can("anonymous", "reviews", "GET", "/")).code).toBe(1);
    expect((await can(`spiffe://${WEB}`, "reviews", "GET", "/")).code).toBe(0);
    expect((await can("web", "revews", "GET", "/")).err).toContain("did you mean reviews?");
    await withoutPolicies();
    expect((await can("job", "reviews", "GET", "/")).code).toBe(0);
  });
});

test("a policy that denies comes first, however the path is written", async () => {
  const denies = policyOf(
    "no-admin",
    `{ action: DENY, rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }] }`,
  );
  await withPolicies(denies, async () => (await asWeb("/admin")).status === 403);
  for (const path of ["/admin/x?a=1", "/%61dmin", "//../admin"])
    expect([path, (await asWeb(path)).status]).toEqual([path, 403]);
  expect((await asWeb("/other")).status).toBe(200);
  await withoutPolicies();
});

test("an external authorizer is asked where a policy says so, and its no is a no", async () => {
  const port = stage.serve((request) => {
    const allowed = request.headers.get("x-user") === "ann";
    return new Response(allowed ? "" : "not you", { status: allowed ? 200 : 403 });
  });
  const provider = `{ service: 127.0.0.1, port: ${port}, includeRequestHeadersInCheck: [x-user] }`;
  const mesh = `kind: MeshConfig
extensionProviders: [{ name: guard, envoyExtAuthzHttp: ${provider} }]
---
`;
  const toPay = 'rules: [{ to: [{ operation: { paths: ["/pay*"] } }] }]';
  const custom = `{ action: CUSTOM, provider: { name: guard }, ${toPay} }`;
  const pay = (user: string) => asWeb("/pay", { "x-user": user });
  await withPolicies(
    `${mesh}${policyOf("pay", custom)}`,
    async () => (await pay("bob")).status === 403,
  );
  expect((await pay("bob")).body).toBe("not you");
  expect((await pay("ann")).status).toBe(200);
  expect((await asWeb("/other")).status).toBe(200);
  expect(await page(reviews, "/denials")).toContain("ext-authz");
  const can = await ctl("authz", "can", "web", "reviews", "GET", "/pay", ...atManager());
  expect(can.out).toContain("allowed, if guard says so too");
  await withoutPolicies();
});

test("a dry run is counted, and refuses nobody", async () => {
  const dryRun = policyOf(
    "soon",
    "{ action: DENY, rules: [{}] }",
    `, annotations: { istio.io/dry-run: "true" }`,
  );
  await withPolicies(dryRun, async () => {
    await asWeb();
    return (await page(reviews, "/stats/prometheus")).includes("mesh_authorization_dry_run_total");
  });
  expect((await asWeb()).status).toBe(200);
  await withoutPolicies();
});

test("connections that are no requests are closed, or let in by identity", async () => {
  const rules = `[{ ${fromWeb}, ${byGet} }, { ${fromWeb} }]`;
  const onlyWebThere = policyOf(
    "database",
    `{ selector: { matchLabels: { app: db } }, rules: ${rules} }`,
  );
  await until("the database to answer", async () => (await echoed(jobDatabasePort)) === "hello");
  await withPolicies(onlyWebThere, async () => (await echoed(jobDatabasePort)) === "");
  expect(await echoed(databasePort)).toBe("hello");
  const can = await ctl("authz", "can", "job", "db", "TCP", ...atManager());
  expect(can.code).toBe(1);
  await withoutPolicies();
});

test("STRICT refuses plaintext, and authz can says so", async () => {
  const strict = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;
  await withPolicies(strict, async () => {
    try {
      return (await inPlaintext()).status !== 200;
    } catch {
      return true;
    }
  });
  expect((await asWeb()).status).toBe(200);
  const { code, out } = await ctl(
    "authz",
    "can",
    "anonymous",
    "reviews",
    "GET",
    "/",
    ...atManager(),
  );
  expect(code).toBe(1);
  expect(out).toContain("STRICT, by PeerAuthentication/default/default");
  expect(out).toContain("a call in plaintext is refused");
  await withoutPolicies();
});

/** What comes back of "hello"; "": the connection was closed. */
function echoed(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (text: string): void => {
      socket.destroy();
      resolve(text);
    };
    socket.on("connect", () => socket.write("hello"));
    socket.on("data", (bytes) => end(bytes.toString()));
    socket.on("error", () => end(""));
    socket.on("close", () => end(""));
    socket.setTimeout(5_000, () => end(""));
  });
}
