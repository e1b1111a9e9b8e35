/**
 * Authorizers behind sidecars of their own, STRICT ones that let nobody but the asking workload in:
 * over HTTP and over gRPC, killed and back, and with one of two gone.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import {
  get,
  managerPorts,
  managerUrl,
  type Sidecar,
  startManager,
  startSidecar,
  startSidecarWith,
  status,
  untilKnown,
} from "./mesh.ts";
import { ctl, type Running, Stage, until } from "./process.ts";

setDefaultTimeout(90_000);
const HOST = "reviews:9080";
const fixture = join(import.meta.dir, "fixture", "authorizer.ts");
const stage = new Stage();
afterAll(() => stage.close());

interface Authorizer {
  readonly kind: "http" | "grpc";
  readonly port: number;
  application: Running;
  sidecar: Sidecar;
}

let manager: readonly string[];
let reviews: Sidecar;
let web: Sidecar;
let job: Sidecar;
/** Two of each. */
const authorizers: Record<Authorizer["kind"], Authorizer[]> = { http: [], grpc: [] };
const servicePort = { http: 9191, grpc: 9000 };

async function startApplication(kind: Authorizer["kind"], port: number): Promise<Running> {
  const running = stage.run([process.execPath, fixture, kind, String(port)]);
  await until(`the authorizer of ${kind}`, () => running.output().includes("listening"));
  return running;
}

async function startAuthorizer(kind: Authorizer["kind"]): Promise<Authorizer> {
  const [port = 0] = freePorts(1);
  const application = await startApplication(kind, port);
  const sidecar = await startSidecar(stage, [
    ...[...manager, "--service", `authz-${kind}.default`, "--labels", "app=authz"],
    ...["--protocol", kind, "--app-port", String(port)],
    ...["--service-port", String(servicePort[kind])],
  ]);
  return { kind, port, application, sidecar };
}

const askOf = (kind: Authorizer["kind"], app: string, path: string): string => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask-${kind}-${app}, namespace: default }
spec:
  selector: { matchLabels: { app: ${app} } }
  action: CUSTOM
  provider: { name: by-${kind} }
  rules: [{ to: [{ operation: { paths: ["${path}"] } }] }]
`;

const rules = `kind: MeshConfig
extensionProviders:
- name: by-http
  envoyExtAuthzHttp: { service: authz-http.default.svc.cluster.local, port: 9191, timeout: 5s,
    headersToUpstreamOnAllow: [x-let-in-by] }
- name: by-grpc
  envoyExtAuthzGrpc: { service: authz-grpc.default.svc.cluster.local, port: 9000, timeout: 5s }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: authz, namespace: default }
spec: { selector: { matchLabels: { app: authz } }, mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: only-reviews, namespace: default }
spec:
  selector: { matchLabels: { app: authz } }
  rules: [{ from: [{ source: { serviceAccounts: [reviews, edge] } }] }]
${(["http", "grpc"] as const).map((kind) => askOf(kind, "reviews", `/${kind}/*`)).join("")}`;

beforeAll(async () => {
  const ports = managerPorts();
  await startManager(stage, ports);
  manager = ["--manager", managerUrl(ports)];
  const echo = stage.serve(
    ({ headers }) => new Response(`let in by ${headers.get("x-let-in-by") ?? "nobody"}`),
  );
  reviews = await startSidecar(stage, [
    ...[...manager, "--service", "reviews.default", "--labels", "app=reviews"],
    ...["--app-port", String(echo), "--service-port", "9080"],
  ]);
  for (const kind of ["http", "grpc"] as const)
    authorizers[kind] = await Promise.all([startAuthorizer(kind), startAuthorizer(kind)]);
  web = await startSidecar(stage, [...manager, "--service", "web.default"]);
  job = await startSidecar(stage, [...manager, "--service", "job.default"]);
  await untilKnown(web, "reviews");
  await untilKnown(job, "authz-http");
  await untilKnown(reviews, "authz-http", "authz-grpc");
  const { code, err } = await ctl("apply", ...manager, "-f", stage.file("rules.yaml", rules));
  expect([err, code]).toEqual([err, 0]);
  await until("the authorizers to be asked", async () => {
    const statuses = await Promise.all([ask("/http/closed"), ask("/grpc/closed")]);
    return statuses.every(({ body }) => body === "not yours");
  });
});

/** A gateway that knows nothing but what it lets in, and whom it has to ask. */
async function startGateway(): Promise<number> {
  const [http = 0, https, admin, readiness] = freePorts(4);
  const running = stage.mesh([
    ...["proxy", "--mode", "gateway", ...manager, "--service", "edge.default"],
    ...["--labels", "app=edge", "--state-dir", join(stage.directory, "state-edge")],
    ...["--http-port", `127.0.0.1:${http}`, "--https-port", `127.0.0.1:${https}`],
    ...["--admin", `127.0.0.1:${admin}`, "--readiness", `127.0.0.1:${readiness}`],
  ]);
  const ready = async () => (await status(readiness!, "/healthz/ready")) === 200;
  await until(`the gateway; it said: ${running.output()}`, ready);
  return http;
}

test("a gateway asks them as well", async () => {
  const file = stage.file(
    "edge.yaml",
    `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: edge, namespace: default, annotations: { "kubernetes.io/ingress.class": istio } }
spec:
  rules:
  - host: shop.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: { service: { name: reviews, port: { number: 9080 } } }
${(["http", "grpc"] as const).map((kind) => askOf(kind, "edge", `/edge-${kind}/*`)).join("")}`,
  );
  const { code, err } = await ctl("apply", ...manager, "-f", file);
  expect([err, code]).toEqual([err, 0]);
  const port = await startGateway();
  for (const kind of ["http", "grpc"] as const) {
    const through = (path: string) => get(port, "shop.example", `/edge-${kind}/${path}`);
    await until(
      "the gateway to know whom to ask",
      async () => (await through("open")).status === 200,
    );
    expect((await through("open")).body).toBe(`let in by ${kind}`);
    const { status: refused, body } = await through("closed");
    expect([refused, body]).toEqual([403, "not yours"]);
  }
  expect((await get(port, "shop.example", "/free")).body).toBe("let in by nobody");
});

const ask = (path: string, headers = {}) => get(web.outbound, HOST, path, headers);

/** Answers to some requests, each kind of them once. */
async function answers(path: string, times: number): Promise<string[]> {
  const seen = new Set<string>();
  for (let i = 0; i < times; i++) {
    const { status, body } = await ask(path);
    seen.add(`${status} ${body}`);
  }
  return [...seen];
}

/** Calls that it let in or refused, as its sidecar counts them. */
async function askedOf({ sidecar }: Authorizer): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${sidecar.admin}/stats/prometheus`)).text();
  const secured =
    /^istio_requests_total\{[^}]*connection_security_policy="mutual_tls"[^}]*\} (\d+)$/gm;
  return [...text.matchAll(secured)].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function kill({ child }: Running): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}

describe.each(["http", "grpc"] as const)("an authorizer over %s", (kind) => {
  const allowed = [`200 let in by ${kind}`];

  test("is asked by mutual TLS, all of its copies are, and its word holds", async () => {
    expect(await answers(`/${kind}/open`, 60)).toEqual(allowed);
    expect(await answers(`/${kind}/closed`, 5)).toEqual(["403 not yours"]);
    for (const one of authorizers[kind]) expect(await askedOf(one)).toBeGreaterThan(0);
    // What it says of fields is its own to say.
    expect((await ask(`/${kind}/open`, { "x-let-in-by": "forged" })).body).toBe(
      `let in by ${kind}`,
    );
  });

  test("lets nobody ask who is not the workload that it serves", async () => {
    const [{ sidecar }] = authorizers[kind] as [Authorizer];
    const plain = fetch(`http://127.0.0.1:${sidecar.inbound}/open`, { keepalive: false });
    expect(await plain.then(({ status }) => status).catch(() => 0)).toBe(0);
    if (kind === "http")
      expect((await get(job.outbound, "authz-http:9191", "/open")).body).toBe(
        "RBAC: access denied",
      );
  });

  test("with one copy killed, and its sidecar, nobody notices after a moment", async () => {
    const [one] = authorizers[kind] as [Authorizer];
    await Promise.all([kill(one.sidecar.running), kill(one.application)]);
    // What was under way on its connection may be refused; never let in.
    expect(await answers(`/${kind}/closed`, 3)).not.toContain(allowed[0]!);
    expect(await answers(`/${kind}/open`, 40)).toEqual(allowed);
  });

  test("with both killed everybody is refused, until one is back", async () => {
    const [one, other] = authorizers[kind] as [Authorizer, Authorizer];
    await kill(other.application);
    const seen = await answers(`/${kind}/open`, 10);
    expect(seen).toEqual(["403 "]);
    await kill(other.sidecar.running);
    expect(await answers(`/${kind}/open`, 10)).toEqual(seen);
    one.application = await startApplication(kind, one.port);
    const { args, running: _, ...ports } = one.sidecar;
    one.sidecar = await startSidecarWith(stage, args, ports);
    await until(
      "the authorizer to be back",
      async () => (await ask(`/${kind}/open`)).status === 200,
    );
    expect(await answers(`/${kind}/open`, 20)).toEqual(allowed);
    expect(await answers(`/${kind}/closed`, 5)).toEqual(["403 not yours"]);
  });
});
