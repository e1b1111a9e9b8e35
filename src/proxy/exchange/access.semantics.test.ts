/** Who may call, seen from the client, the service, the log, metrics and the ring of refusals. */
import { describe, expect, test } from "bun:test";
import { accessLogText } from "../../testing/access-log-text.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { type FakeAccess, FakeStep, refusal, useAccess } from "../../testing/fake-access.ts";
import { grpcCall, grpcSetUp } from "../../testing/grpc-set-up.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { denyingRule, RulePolicy } from "../../testing/rule-policy.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

const setUp = engineSetUp();
const grpc = grpcSetUp();
const GET = "GET /a?q=1 HTTP/1.1\r\nHost: svc\r\nx-request-id: id-1\r\n\r\n";

const denyAdmin: FakeAccess = {
  policies: [
    {
      name: "no-admin",
      action: "DENY",
      rules: [{ to: [{ paths: ["/x"] }] }, { to: [{ paths: ["/admin*"] }] }],
    },
  ],
};

async function withAccess(access: FakeAccess, ...rest: Parameters<typeof setUp>) {
  const all = await setUp(...rest);
  return { ...all, watch: useAccess(all.mesh, access) };
}

const of = (name: string) => `policy="AuthorizationPolicy/default/${name}"`;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(1);
}

describe("a request that a policy denies", () => {
  const ADMIN = "GET /admin/x?secret=1 HTTP/1.1\r\nHost: svc\r\nx-request-id: id-1\r\n\r\n";

  test("is answered with the standard text, and nothing about why", async () => {
    const { client, service, mesh } = await withAccess(denyAdmin);
    client.send(ADMIN);
    const answer = await client.takeResponse();
    expect(answer).toMatchObject({ status: 403, body: "RBAC: access denied" });
    expect(answer.head).toContain("content-type: text/plain\r\n");
    expect(answer.head).toContain("x-request-id: id-1\r\n");
    expect(answer.head + answer.body).not.toMatch(/no-admin|rule|x-mesh/);
    expect(service.requests.length).toBe(0);
    expect(mesh.scrape()).toContain(
      `mesh_authorization_denied_total{kind="authorization",${of("no-admin")}} 1\n`,
    );
    expect(mesh.scrape()).toMatch(/response_flags="UAEX".* 1\n/);
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("is in the ring with who, what and by which rule, without the query", async () => {
    const { client, watch } = await withAccess(denyAdmin);
    client.send(ADMIN);
    await client.takeResponse();
    expect(watch.ring.list("id-1")).toMatchObject([
      {
        ...{ id: "id-1", kind: "authorization", status: 403 },
        ...{ by: "AuthorizationPolicy/default/no-admin", rule: "rule 1", place: "rules.yaml:3" },
        ...{ principal: "", sourceAddress: "127.0.0.1", method: "GET", host: "svc" },
        ...{ path: "/admin/x", hasToken: false },
      },
    ]);
    expect(watch.ring.list("id-2")).toEqual([]);
  });

  test("gets an id where it has none of its own, or none that is one", async () => {
    const { client, watch } = await withAccess(denyAdmin);
    for (const line of [
      "",
      "x-request-id: a b\u0001\r\n".replace("\u0001", ";<"),
      `x-request-id: ${"a".repeat(200)}\r\n`,
    ]) {
      client.send(`GET /admin HTTP/1.1\r\nHost: svc\r\n${line}\r\n`);
      const { head } = await client.takeResponse();
      const id = /x-request-id: ([0-9a-f]{16})\r\n/.exec(head)?.[1] ?? "none";
      expect(watch.ring.list(id).length).toBe(1);
    }
  });

  test("has policy and rule in the access log", async () => {
    const { accessLog, read } = accessLogText();
    const { client } = await withAccess(denyAdmin, undefined, { accessLog });
    client.send(ADMIN);
    await client.takeResponse();
    await accessLog.close();
    expect(JSON.parse(read())).toMatchObject({
      response_flags: "UAEX",
      response_code_details: "access-denied",
      response_code_cause: "AuthorizationPolicy/default/no-admin rule 1",
    });
  });

  test("does not leave its body behind on the connection", async () => {
    const { client } = await withAccess(denyAdmin);
    client.send("POST /admin HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\nabc");
    expect((await client.takeResponse()).status).toBe(403);
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("cannot be written so that the policy does not see it", async () => {
    const { client } = await withAccess(denyAdmin);
    for (const path of [
      "/x/../admin",
      "/%61dmin",
      "/./admin",
      "/a/%2e%2e/admin",
      "\\admin",
      "/admin?x",
    ]) {
      client.send(
        `GET ${path.startsWith("\\") ? `/x/..${path}` : path} HTTP/1.1\r\nHost: svc\r\n\r\n`,
      );
      expect([path, (await client.takeResponse()).status]).toEqual([path, 403]);
    }
  });

  test("is of the host that it is routed to, however that is written", async () => {
    const rules = [{ to: [{ hosts: ["svc", "svc:81"] }] }];
    const { client } = await withAccess({ policies: [{ name: "d", action: "DENY", rules }] });
    for (const host of ["svc", "SVC", "svc.", "svc:80", "svc.:80", "svc:81", "svc.:81"]) {
      client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect([host, (await client.takeResponse()).status]).toEqual([host, 403]);
    }
  });

  test("is refused before it is known whether there is a route", async () => {
    const { client } = await withAccess({ policies: [{ name: "nobody" }] });
    client.send("GET / HTTP/1.1\r\nHost: unknown\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(403);
    client.send("OPTIONS / HTTP/1.1\r\nHost: svc\r\nMax-Forwards: 0\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(403);
  });

  test("of gRPC is told so in its own terms", async () => {
    const { mesh, client } = grpc.alone();
    const watch = useAccess(mesh, { policies: [{ name: "nobody" }] });
    const answer = await client.request({ ...grpcCall, ":authority": "svc", "x-request-id": "g" });
    expect(answer.headers).toMatchObject({
      ...{ ":status": 200, "grpc-status": "7", "grpc-message": "RBAC: access denied" },
      "x-request-id": "g",
    });
    expect(watch.ring.list("g")[0]?.reason).toContain("has no rule");
  });
});

describe("a step before the policies", () => {
  test("that lets it pass as it is, is asked once", async () => {
    const step = new FakeStep(() => undefined);
    const { client, service } = await withAccess({ ...denyAdmin, steps: [step] });
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
    expect([step.asked, service.requests.length]).toEqual([1, 1]);
  });

  test("sees the request", async () => {
    const seen: unknown[] = [];
    const step = new FakeStep((request) => {
      const { method, path, target, authority, scheme, protocol, remoteAddress } = request;
      seen.push({ method, path, target, authority, scheme, protocol, remoteAddress });
      seen.push(request.headers.get("x-request-id"), request.isPreflight);
      return undefined;
    });
    const { client } = await withAccess({ steps: [step] });
    client.send(GET.replace("svc", "SVC"));
    await client.takeResponse();
    expect(seen).toEqual([
      {
        ...{ method: "GET", path: "/a", target: "/a?q=1", authority: "svc", scheme: "http" },
        ...{ protocol: "HTTP/1.1", remoteAddress: "127.0.0.1" },
      },
      "id-1",
      false,
    ]);
  });

  test("has its word passed on, whatever the client calls a field of one hop", async () => {
    const requestHeaders = [{ name: "x-user", value: "ann", operation: "replace" }] as const;
    const step = new FakeStep(() => ({ at: "passed", requestHeaders }));
    const { client, service } = await withAccess({ steps: [step] });
    for (const [i, names] of ["x-user", "X-User, keep-alive", "x-a, x-user"].entries()) {
      const lines = `Connection: ${names}\r\nx-a: b\r\nx-user: eve\r\n`;
      client.send(`GET / HTTP/1.1\r\nHost: svc\r\n${lines}\r\n`);
      expect((await client.takeResponse()).status).toBe(200);
      const { head } = service.requests[i]!;
      expect(head).toContain("x-user: ann\r\n");
      expect(head).not.toContain("eve");
      expect(head.includes("x-a: b")).toBe(!names.includes("x-a"));
    }
  });

  test("does not see what only a proxy may say of the peer", async () => {
    const seen: unknown[] = [];
    const step = new FakeStep(({ headers }) => {
      seen.push(headers.get("x-forwarded-client-cert"), [...headers.entries()].flat().join(" "));
      return undefined;
    });
    const forged = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\n";
    const when = [{ key: "request.headers[x-forwarded-client-cert]", values: ["*"] }];
    const policies = [{ name: "a", action: "DENY", rules: [{ when }] }] as const;
    const { client } = await withAccess({ steps: [step], policies });
    for (const lines of [forged, `${forged}x-a: b\r\n${forged}`]) {
      client.send(`GET / HTTP/1.1\r\nHost: svc\r\n${lines}\r\n`);
      expect((await client.takeResponse()).status).toBe(200);
    }
    expect(seen.map(String).join("\n")).not.toContain("spiffe");
    expect(String(seen[3])).toContain("x-a b");
  });

  test("that refuses it, says how", async () => {
    const { client, watch, service } = await withAccess({ steps: [new FakeStep(() => refusal)] });
    client.send(GET);
    const { status, head, body } = await client.takeResponse();
    expect([status, body]).toEqual([401, "Jwt is expired"]);
    expect(head).toContain('www-authenticate: Bearer realm="x"\r\n');
    expect(head).not.toContain("RequestAuthentication");
    expect(watch.ring.list("id-1")[0]).toMatchObject({ kind: "jwt", reason: "late" });
    expect(service.requests.length).toBe(0);
  });

  test("changes the head for the policies, the service and the caller", async () => {
    const change = (name: string, value: string, operation: "replace" | "remove") =>
      ({ name, value, operation }) as const;
    const step = new FakeStep(() => ({
      at: "passed",
      requestHeaders: [change("authorization", "", "remove"), change("x-sub", "ann", "replace")],
      responseHeaders: [change("x-decision", "ok", "replace")],
    }));
    const policies = [{ rules: [{ when: [{ key: "request.headers[x-sub]", values: ["ann"] }] }] }];
    const { client, service } = await withAccess({ steps: [step], policies });
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nx-sub: forged\r\nauthorization: Bearer t\r\n\r\n");
    const { status, head } = await client.takeResponse();
    expect(status).toBe(200);
    expect(head).toContain("x-decision: ok\r\n");
    const received = service.requests[0]!.head;
    expect(received).toContain("x-sub: ann\r\n");
    expect(received).not.toMatch(/forged|Bearer/);
  });

  test("has nothing to say to a caller whom a policy refuses then", async () => {
    const change = { name: "x-decision", value: "ok", operation: "replace" } as const;
    const step = new FakeStep(() => ({ at: "passed", responseHeaders: [change] }));
    const { client } = await withAccess({ ...denyAdmin, steps: [step] });
    client.send("GET /admin HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).head).not.toContain("x-decision");
    client.send(GET);
    expect((await client.takeResponse()).head).toContain("x-decision: ok\r\n");
  });

  test("whose token the policies ask about", async () => {
    const token = {
      ...{ issuer: "iss", subject: "ann", principal: "iss/ann", audiences: [], presenter: "" },
      ...{ claims: {}, spaceDelimited: [], payload: "", expiresMs: 1 },
    };
    const step = new FakeStep(({ headers }) =>
      headers.get("x-t") === undefined ? undefined : { at: "passed", token },
    );
    const policies = [{ rules: [{ from: [{ requestPrincipals: ["iss/ann"] }] }] }];
    const { client } = await withAccess({ steps: [step], policies });
    for (const [line, status] of [
      ["x-t: 1\r\n", 200],
      ["", 403],
      ["x-t: 1\r\n", 200],
    ] as const) {
      client.send(`GET / HTTP/1.1\r\nHost: svc\r\n${line}\r\n`);
      expect((await client.takeResponse()).status).toBe(status);
    }
  });
});

describe("a step that waits", () => {
  const waits = () => new FakeStep(() => "waits");

  test("holds the request with its body until it is answered", async () => {
    const step = waits();
    const { client, service } = await withAccess({ ...denyAdmin, steps: [step] });
    client.send("POST /a HTTP/1.1\r\nHost: svc\r\nContent-Length: 6\r\n\r\nabc");
    await until(() => step.waiting.length === 1);
    expect(service.requests.length).toBe(0);
    step.waiting[0]!.answered({ at: "passed" });
    client.send("def");
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests[0]!.body).toBe("abcdef");
  });

  test("is followed by the next one, and by the policies", async () => {
    const [first, second] = [waits(), waits()];
    const { client } = await withAccess({ ...denyAdmin, steps: [first, second] });
    client.send("GET /admin HTTP/1.1\r\nHost: svc\r\n\r\n");
    await until(() => first.waiting.length === 1);
    expect(second.asked).toBe(0);
    first.waiting[0]!.answered({ at: "passed" });
    expect(second.asked).toBe(1);
    second.waiting[0]!.answered({ at: "passed" });
    expect((await client.takeResponse()).status).toBe(403);
  });

  test("refuses late", async () => {
    const step = waits();
    const { client } = await withAccess({ steps: [step] });
    client.send(GET);
    await until(() => step.waiting.length === 1);
    step.waiting[0]!.answered(refusal);
    expect((await client.takeResponse()).status).toBe(401);
    // Whoever answers twice is not heard.
    step.waiting[0]!.answered({ at: "passed" });
    client.send(GET);
    await until(() => step.waiting.length === 2);
    step.waiting[1]!.answered({ at: "passed" });
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("is not waited for longer than its time", async () => {
    const clock = new VirtualClock();
    const step = waits();
    const { client } = await withAccess({ steps: [step] }, undefined, { clock });
    client.send(GET);
    await until(() => step.waiting.length === 1);
    clock.advance(1_100);
    expect((await client.takeResponse()).body).toBe("Jwt is expired");
    expect(step.cancelled).toBe(1);
    step.waiting[0]!.answered({ at: "passed" });
  });

  test("is not heard before it says that it has to be waited for", async () => {
    const step = waits();
    step.isHasty = true;
    const { client, service } = await withAccess({ steps: [step] });
    client.send(GET);
    await until(() => step.waiting.length === 1);
    await Bun.sleep(5);
    expect(service.requests.length).toBe(0);
    step.waiting[0]!.answered(refusal);
    expect((await client.takeResponse()).status).toBe(401);
  });

  test("is told when the client has gone", async () => {
    const step = waits();
    const { client, service } = await withAccess({ steps: [step] });
    client.send(GET);
    await until(() => step.waiting.length === 1);
    client.terminate();
    await until(() => step.cancelled === 1);
    step.waiting[0]!.answered({ at: "passed" });
    expect(service.requests.length).toBe(0);
  });

  test("of many requests at once answers each of them, whoever shares their engine", async () => {
    const step = new FakeStep(({ path }) => (path === "/now" ? undefined : "waits"));
    const { connect } = await withAccess({ steps: [step] });
    const clients = await Promise.all([connect(), connect(), connect()]);
    for (const [i, client] of clients.entries()) {
      client.send(`GET /${i} HTTP/1.1\r\nHost: svc\r\n\r\n`);
      await until(() => step.waiting.length === i + 1);
    }
    const other = await connect();
    other.send("GET /now HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await other.takeResponse()).status).toBe(200);
    step.waiting[1]!.answered(refusal);
    expect((await clients[1]!.takeResponse()).status).toBe(401);
    step.waiting[2]!.answered({ at: "passed" });
    step.waiting[0]!.answered({ at: "passed" });
    expect((await clients[0]!.takeResponse()).status).toBe(200);
    expect((await clients[2]!.takeResponse()).status).toBe(200);
  });
});

describe("at a gateway", () => {
  const policies = [
    { action: "DENY", rules: [{ from: [{ remoteIpBlocks: ["203.0.113.7"] }] }] },
    { action: "DENY", rules: [{ when: [{ key: "request.headers[x-mesh-id]", values: ["*"] }] }] },
  ] as const;
  const call = async (trustedProxies: number, fields: string): Promise<number> => {
    const { mesh } = await withAccess({ policies }, undefined, { edge: { trustedProxies } });
    const client = await RawClient.connect({ port: mesh.listenEdge() });
    client.send(`GET / HTTP/1.1\r\nHost: svc\r\n${fields}\r\n`);
    const { status } = await client.takeResponse();
    client.terminate();
    return status;
  };

  test("remote.ip is of the client that trusted proxies tell of, and nobody else", async () => {
    expect(await call(1, "x-forwarded-for: 203.0.113.7\r\n")).toBe(403);
    expect(await call(1, "x-forwarded-for: 203.0.113.7, 203.0.113.8\r\n")).toBe(200);
    expect(await call(0, "x-forwarded-for: 203.0.113.7\r\n")).toBe(200);
  });

  test("what strangers claim to be of the mesh is not seen by rules", async () => {
    expect(await call(0, "x-mesh-id: 1\r\n")).toBe(200);
  });
});

describe("an external authorizer", () => {
  const custom = {
    name: "c",
    action: "CUSTOM",
    provider: "opa",
    rules: [{ to: [{ paths: ["/pay*"] }] }],
  } as const;

  test("is asked where its policy matches, before the others", async () => {
    const authorizer = new FakeStep(() => undefined);
    const policies = [
      custom,
      { name: "d", action: "DENY", rules: [{ to: [{ paths: ["/pay/x"] }] }] } as const,
    ];
    const { client } = await withAccess({ policies, authorizer });
    for (const [path, status, asked] of [
      ["/", 200, 0],
      ["/pay", 200, 1],
      ["/pay/x", 403, 2],
    ] as const) {
      client.send(`GET ${path} HTTP/1.1\r\nHost: svc\r\n\r\n`);
      expect((await client.takeResponse()).status).toBe(status);
      expect(authorizer.asked).toBe(asked);
    }
  });
});

test("a dry run and an audit are counted, and change nothing", async () => {
  const { client, mesh } = await withAccess({
    policies: [
      { name: "soon", action: "DENY", dryRun: true, rules: [{ to: [{ paths: ["/a"] }] }] },
      { name: "seen", action: "AUDIT", rules: [{}] },
    ],
  });
  client.send(GET);
  expect((await client.takeResponse()).status).toBe(200);
  client.send("GET /b HTTP/1.1\r\nHost: svc\r\n\r\n");
  expect((await client.takeResponse()).status).toBe(200);
  expect(mesh.scrape()).toContain(
    `mesh_authorization_dry_run_total{kind="denied",${of("soon")}} 1\n`,
  );
  expect(mesh.scrape()).toContain(
    `mesh_authorization_audited_total{kind="matched",${of("seen")}} 2\n`,
  );
  expect(mesh.scrape()).not.toContain("mesh_authorization_denied_total");
});

test("what rules of policy deny is in the ring too", async () => {
  const { client, mesh, watch } = await withAccess({});
  const rules = denyingRule("r", { code: 7, message: "no" });
  mesh.engine.watchers.policy = new RulePolicy(rules).at("outbound");
  client.send(GET);
  expect((await client.takeResponse()).status).toBe(403);
  expect(watch.ring.list("id-1")).toMatchObject([
    {
      ...{ kind: "policy", by: "r.rule.default", reason: "r.handler.default:no" },
      ...{ status: 403, path: "/a" },
    },
  ]);
});
