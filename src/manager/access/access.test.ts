/** Calls of the API by everybody who may make them, and by others, over real sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { ApplyMode, ConfigService, StatusService } from "../../api/gen/mesh/v1/config_pb.ts";
import { DiscoveryService, RegistryService } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { IdentityAdminService, IdentityService } from "../../api/gen/mesh/v1/identity_pb.ts";
import type { Caller, Principal, Role } from "../../api/principal.ts";
import { serveApi } from "../../api/serve.ts";
import { Log } from "../../core/log.ts";
import { openIdentity } from "../../testing/identity-set-up.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { standingOf } from "../../testing/workload-standing.ts";
import { AuditLog } from "../audit/audit-log.ts";
import { MemoryAuditStore } from "../audit/audit-store.ts";
import { Manager } from "../manager.ts";
import { forgetfulWorkloadStore } from "../registry/workload-store.ts";
import { apiRoutes } from "../rpc/routes.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { Access } from "./access.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const HOUR = 3_600_000;

/** Each call comes from whoever `as` says. */
async function open() {
  const clock = new VirtualClock();
  const audit = new AuditLog(new MemoryAuditStore(), clock);
  const log = new Log("test", { level: "error" });
  const access = new Access({ audit, log, domain: "cluster.local", standing: standingOf() });
  const { identity, close } = openIdentity({ clock, audit });
  closing.push(close);
  const manager = await Manager.open({
    ...{ clock, log, store: new MemoryStore(clock), workloads: forgetfulWorkloadStore },
    ...{ domain: "cluster.local", namespace: "default", leaseMs: 10_000, identity },
  });
  const state: { caller: Caller } = { caller: from({ kind: "anonymous", reason: "no token" }) };
  const server = await serveApi({
    ...{ hostname: "127.0.0.1", port: 0, clock },
    identify: () => state.caller,
    isTrusted: ({ principal: { kind } }) => kind === "local" || kind === "person",
    interceptors: [access.interceptor],
    routes: apiRoutes(manager, access),
    fetch: () => new Response("", { status: 404 }),
  });
  closing.push(
    () => manager.close(),
    () => server.close(),
  );
  const baseUrl = `http://127.0.0.1:${server.port}`;
  const by = (transport: Transport) => ({
    config: createClient(ConfigService, transport),
    status: createClient(StatusService, transport),
    discovery: createClient(DiscoveryService, transport),
    registry: createClient(RegistryService, transport),
    identity: createClient(IdentityService, transport),
    admin: createClient(IdentityAdminService, transport),
  });
  const connect = createConnectTransport({ baseUrl, httpVersion: "1.1" });
  return {
    ...{ clock, audit, manager, server, baseUrl },
    ...by(connect),
    grpc: by(createGrpcTransport({ baseUrl })),
    as(principal: Principal, address?: string): void {
      state.caller = from(principal, address);
    },
  };
}

function from(principal: Principal, address = "10.0.0.7:51234"): Caller {
  return { principal, address };
}

function workload(name: string, notAfterMs = Number.MAX_SAFE_INTEGER): Principal {
  const certificate = { serial: "0A", sha256: "ab", notAfterMs, root: "" };
  return {
    kind: "workload",
    identity: `spiffe://cluster.local/ns/default/sa/${name}`,
    certificate,
  };
}

const person = (role: Role): Principal => ({ kind: "person", name: "ann", role });

async function outcome(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "done",
    (thrown) => {
      const { code, rawMessage } = ConnectError.from(thrown);
      return `${Code[code]}: ${rawMessage}`;
    },
  );
}

const RULE = `apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: outside }
spec:
  destination: { service: api.example.com }
  ports: [{ port: 80, protocol: http }]
`;
const rule = (author: string, dryRun = false) => ({
  ...{ documents: [{ file: "r.yaml", text: RULE }], mode: ApplyMode.APPLY, author, dryRun },
});
const reviews = (id: string, service = "reviews.default") => ({
  workload: {
    ...{ id, service, namespace: "default", address: "127.0.0.1", port: 9080, protocol: "http" },
    healthy: true,
  },
});
const node = (id: string, service: string) => ({
  node: { id, service, namespace: "default" },
});

describe("a refusal", () => {
  test("says what is needed; why is in the audit log alone", async () => {
    const { as, status, grpc, audit } = await open();
    as({ kind: "anonymous", reason: "the certificate has expired" });
    const said = await outcome(status.listServices({}));
    expect(said).toStartWith("Unauthenticated: who calls is not known");
    expect(said).not.toContain("expired");
    expect(await outcome(grpc.status.listServices({}))).toBe(said);
    expect(audit.list(1)[0]).toMatchObject({
      ...{ who: "anonymous", address: "10.0.0.7:51234", action: "call refused", allowed: false },
      ...{ object: "mesh.v1.StatusService/ListServices", detail: "the certificate has expired" },
    });
  });

  test("of somebody known is PERMISSION_DENIED", async () => {
    const { as, config, admin, status } = await open();
    as(person("viewer"));
    expect(await outcome(config.apply(rule("ann")))).toBe(
      "PermissionDenied: the role operator is needed for this",
    );
    as(person("operator"));
    expect(await outcome(admin.createAccessToken({ name: "x", role: 3 }))).toBe(
      "PermissionDenied: the role admin is needed for this",
    );
    as(workload("reviews"));
    expect(await outcome(status.listProxies({}))).toBe(
      "PermissionDenied: a workload may ask only about itself",
    );
  });

  test("comes before a large message is read", async () => {
    const { as, config } = await open();
    const documents = [{ file: "r.yaml", text: "#".repeat(1 << 20) }];
    as(workload("reviews"));
    expect(await outcome(config.apply({ documents }))).toStartWith("ResourceExhausted");
    as(person("operator"));
    expect(await outcome(config.apply({ documents }))).toBe("done");
  });

  test("of what a browser was made to send for a page of somebody else", async () => {
    const { as, baseUrl } = await open();
    as({ kind: "local", uid: 0 });
    const ask = async (headers: Record<string, string>): Promise<number> => {
      const url = `${baseUrl}/mesh.v1.ConfigService/Apply`;
      const json = { "content-type": "application/json" };
      const init = { method: "POST", body: "{}", headers: { ...json, ...headers } };
      return (await fetch(url, init)).status;
    };
    expect(await ask({})).toBe(200);
    expect(await ask({ "sec-fetch-site": "cross-site" })).toBe(403);
    expect(await ask({ "sec-fetch-site": "same-site" })).toBe(403);
    expect(await ask({ origin: "http://evil.example" })).toBe(403);
    expect(await ask({ "content-type": "text/plain" })).toBe(415);
    const preflight = await fetch(`${baseUrl}/mesh.v1.ConfigService/Apply`, {
      method: "OPTIONS",
      headers: { origin: "http://evil.example", "access-control-request-method": "POST" },
    });
    expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
  });
});

describe("people", () => {
  test("who read may try a change, and not make it", async () => {
    const { as, config, audit } = await open();
    as(person("viewer"));
    expect(await outcome(config.apply(rule("ann", true)))).toBe("done");
    expect(audit.list(9)).toEqual([]);
    expect((await config.list({})).objects).toEqual([]);
  });

  test("are the authors of what they change, whatever they call themselves", async () => {
    const { as, config, audit } = await open();
    as(person("operator"));
    await config.apply(rule("the-boss"));
    const { entries } = await config.history({ kind: "EgressRule", name: "outside" });
    expect(entries.map(({ author }) => author)).toEqual(["ann"]);
    await config.delete({ objects: [{ kind: "EgressRule", name: "outside" }], author: "nobody" });
    await config.rollback({ kind: "EgressRule", name: "outside" });
    const changes = audit.list(9).map(({ who, action, object }) => [who, action, object]);
    const object = "EgressRule/default/outside";
    expect(changes).toEqual([
      ["ann", "rule created", object],
      ["ann", "rule deleted", object],
      ["ann", "rule created", object],
    ]);
  });

  test("who read are shown no secrets of handlers; who write them are", async () => {
    const { as, config } = await open();
    const text = `apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: hook }
spec: { compiledAdapter: webhook, params: { url: "http://h/", headers: { x-key: hunter2 } } }
`;
    as(person("operator"));
    await config.apply({ documents: [{ file: "h.yaml", text }], mode: ApplyMode.APPLY });
    const reference = { kind: "handler", name: "hook" };
    const shown = async (): Promise<string> => {
      const [one, all] = [await config.get(reference), await config.list({})];
      const past = await config.history(reference);
      const documents = [{ file: "h.yaml", text: text.replace("http://h/", "http://i/") }];
      const change = await config.apply({ documents, mode: ApplyMode.APPLY, dryRun: true });
      const whole = [one, all, past, change].map((message) =>
        JSON.stringify(message, (_, value) => (typeof value === "bigint" ? Number(value) : value)),
      );
      return whole.map((json) => String(json.includes("hunter2"))).join(" ");
    };
    expect(await shown()).toBe("true true true true");
    as(person("viewer"));
    expect(await shown()).toBe("false false false false");
  });

  test("with the role admin issue tokens and read the audit log", async () => {
    const { as, admin } = await open();
    as(person("admin"));
    const { token } = await admin.createAccessToken({ name: "bob", role: 1 });
    const { entries } = await admin.listAudit({});
    expect(entries.map(({ who, action }) => [who, action])).toEqual([
      ["ann", "access token created"],
    ]);
    const secret = token.split(".")[2]!;
    expect(entries.some(({ detail, object }) => `${detail}${object}`.includes(secret))).toBe(false);
  });
});

describe("a workload", () => {
  test("registers, renews and withdraws itself, and nobody else", async () => {
    const { as, registry, audit } = await open();
    as(workload("reviews"));
    const { id } = await registry.register(reviews("reviews-1.default"));
    expect(await outcome(registry.renew({ leaseId: id, healthy: true }))).toBe("done");
    expect(await outcome(registry.register(reviews("x", "ratings.default")))).toBe(
      "PermissionDenied: ns/default/sa/reviews is not the service ratings.default",
    );
    as(workload("ratings"));
    const notYours = "PermissionDenied: ns/default/sa/ratings is not the account reviews";
    expect(await outcome(registry.renew({ leaseId: id, healthy: false }))).toBe(notYours);
    expect(await outcome(registry.withdraw({ leaseId: id }))).toBe(notYours);
    const taken = registry.register(reviews("reviews-1.default", "ratings.default"));
    expect(await outcome(taken)).toBe(
      "PermissionDenied: ns/default/sa/ratings is not reviews-1.default: its ids are " +
        "ratings-….default",
    );
    as(workload("reviews"));
    expect(await outcome(registry.withdraw({ leaseId: id }))).toBe("done");
    expect(audit.list(9).map(({ object }) => object)).toEqual([
      "workload reviews-1.default",
      "workload reviews-1.default",
      "workload x",
    ]);
  });

  test("has the account of its certificate", async () => {
    const { as, registry, manager } = await open();
    as(workload("reviews"));
    await registry.register(reviews("reviews-1.default"));
    expect(manager.local.workloadOf("reviews-1.default")?.serviceAccount).toBe("reviews");
  });

  test("of another host tells no admin port, which would be somebody's here", async () => {
    const { as, discovery, manager } = await open();
    const follow = async (id: string): Promise<string | undefined> => {
      const ended = new AbortController();
      closing.push(() => ended.abort());
      const { node: said } = node(id, "reviews.default");
      const request = { node: { ...said, adminAddress: "127.0.0.1:15000" } };
      const stream = discovery.watch(request, { signal: ended.signal });
      await stream[Symbol.asyncIterator]().next();
      return manager.discovery.nodesOf(id)[0]?.adminAddress;
    };
    as(workload("reviews"));
    expect(await follow("reviews-far.default")).toBe("");
    as(workload("reviews"), "127.0.0.1:51234");
    expect(await follow("reviews-near.default")).toBe("127.0.0.1:15000");
  });

  test("follows its own configuration, answers for itself, and ends nobody's stream", async () => {
    const { as, discovery, manager } = await open();
    const first = async (request: ReturnType<typeof node>): Promise<string> => {
      const ended = new AbortController();
      closing.push(() => ended.abort());
      const stream = discovery.watch(request, { signal: ended.signal });
      return await outcome(stream[Symbol.asyncIterator]().next());
    };
    as(workload("reviews"));
    expect(await first(node("reviews-1.default", "reviews.default"))).toBe("done");
    expect(await first(node("x", "ratings.default"))).toStartWith("PermissionDenied");
    as(workload("ratings"));
    expect(await first(node("reviews-1.default", "ratings.default"))).toStartWith(
      "PermissionDenied",
    );
    expect(await outcome(discovery.acknowledge({ nodeId: "reviews-1.default" }))).toStartWith(
      "PermissionDenied",
    );
    expect(manager.discovery.nodesOf("reviews-1.default")).toHaveLength(1);
    as({ kind: "local", uid: 0 });
    expect(await outcome(discovery.acknowledge({ nodeId: "reviews-1.default" }))).toBe(
      "FailedPrecondition: reviews-1.default was not sent version  last",
    );
  });

  test("follows for as long as the certificate is in force that it came with", async () => {
    const { as, discovery, clock, manager } = await open();
    as(workload("reviews", clock.wallMs() + HOUR));
    const stream = discovery.watch(node("reviews-1.default", "reviews.default"));
    const updates = stream[Symbol.asyncIterator]();
    expect((await updates.next()).done).toBe(false);
    const next = outcome(updates.next());
    clock.advance(HOUR - 1);
    expect(manager.discovery.isConnected("reviews-1.default")).toBe(true);
    clock.advance(1);
    await next;
    expect(manager.discovery.isConnected("reviews-1.default")).toBe(false);
  });
});

test("everybody may ask for a certificate and for roots, and nothing else", async () => {
  const { identity, admin, registry, discovery } = await open();
  expect((await identity.getTrustBundle({})).rootPems).toHaveLength(1);
  expect(await outcome(identity.issueCertificate({ csrPem: "" }))).not.toContain("who calls");
  for (const call of [
    admin.getAuthority({}),
    registry.register(reviews("r")),
    discovery.acknowledge({ nodeId: "r" }),
  ])
    expect(await outcome(call)).toStartWith("Unauthenticated: who calls is not known");
});
