/** What rules of policy make of requests, seen from the client, the service, log and metrics. */
import { describe, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { StatusCode } from "../../policy/status-code.ts";
import type { Verdict } from "../../policy/verdict.ts";
import { AccessLog } from "../../telemetry/access-log.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { FakeMixer, FakePolicy, type FakeRules } from "../../testing/fake-policy.ts";
import { grpcCall, grpcSetUp } from "../../testing/grpc-set-up.ts";

const setUp = engineSetUp();
const grpc = grpcSetUp();
const GET = "GET /a?q=1 HTTP/1.1\r\nHost: svc\r\nx-user: jason\r\n\r\n";
const headers = { "request.headers": "STRING_MAP", "request.path": "STRING" } as const;

/** An engine with these rules, outbound. */
async function withRules(
  rules: FakeRules,
  mixer?: FakeMixer,
  script?: Parameters<typeof setUp>[0],
) {
  const all = await setUp(script);
  all.mesh.engine.watchers.policy = new FakePolicy(rules).at("outbound", mixer);
  return all;
}

const checking = (check: FakeRules["check"] & {}): FakeRules => ({ attributes: headers, check });
const always = (verdict: Partial<Verdict>): FakeRules => checking(() => verdict);

describe("a request that a rule denies", () => {
  const denied = { code: StatusCode.permissionDenied, message: "h.denier.x:no", rule: "r.rule.x" };

  test("is answered by us, with the handler's words and the rule's name", async () => {
    const rules = checking((read) => (read("request.headers[x-user]") === "jason" ? denied : {}));
    const { client, service, mesh } = await withRules(rules);
    client.send(GET);
    const answer = await client.takeResponse();
    expect(answer).toMatchObject({ status: 403, body: "PERMISSION_DENIED:h.denier.x:no" });
    expect(answer.head).toContain("x-mesh-reason: policy-denied; r.rule.x\r\n");
    expect(answer.head).toContain("content-type: text/plain\r\n");
    expect(service.requests.length).toBe(0);
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nx-user: other\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(200);
    expect(mesh.scrape()).toMatch(/response_flags="UAEX".* 1\n/);
  });

  // biome-ignore format: a table reads as a table
  const codes: [StatusCode, number, string][] = [
    [1, 499, "CANCELLED"], [2, 500, "UNKNOWN"], [3, 400, "INVALID_ARGUMENT"],
    [4, 504, "DEADLINE_EXCEEDED"], [5, 404, "NOT_FOUND"], [6, 409, "ALREADY_EXISTS"],
    [7, 403, "PERMISSION_DENIED"], [8, 429, "RESOURCE_EXHAUSTED"], [9, 400, "FAILED_PRECONDITION"],
    [10, 409, "ABORTED"], [11, 400, "OUT_OF_RANGE"], [12, 501, "UNIMPLEMENTED"],
    [13, 500, "INTERNAL"], [14, 503, "UNAVAILABLE"], [15, 500, "DATA_LOSS"],
    [16, 401, "UNAUTHENTICATED"],
  ];
  test("has the status that a sidecar gives to the code", async () => {
    const next: Partial<Verdict>[] = codes.map(([code]) => ({ code, message: "m" }));
    const { client } = await withRules(checking(() => next.shift()!));
    for (const [, status, name] of codes) {
      client.send(GET);
      expect(await client.takeResponse()).toMatchObject({ status, body: `${name}:m` });
    }
  });

  test("by a quota says after how many seconds to come again", async () => {
    const quota = { code: StatusCode.resourceExhausted, message: "q", retryAfterMs: 1_001 };
    const { client, mesh } = await withRules(always(quota));
    client.send(GET);
    const { status, head } = await client.takeResponse();
    expect(status).toBe(429);
    expect(head).toContain("retry-after: 2\r\n");
    expect(head).toContain("x-mesh-reason: rate-limited\r\n");
    expect(mesh.scrape()).toMatch(/response_flags="RL".* 1\n/);
  });

  test("directly has the rule's own status, body and headers, none of which split it", async () => {
    const replace = (name: string, value: string) =>
      ({ name, value, operation: "replace" }) as const;
    const cookie = (value: string) => ({ name: "set-cookie", value, operation: "append" }) as const;
    const direct = {
      code: StatusCode.permissionDenied,
      direct: { code: 302, body: "over there" },
      responseHeaders: [
        ...[replace("Location", "https://a/"), replace("content-type", "text/html")],
        ...[cookie("a=1"), cookie("b=2")],
        ...[replace("x-bad", "a\r\nx-evil: 1"), replace("content-length", "99")],
        replace("bad name", "x"),
      ],
    };
    const { client } = await withRules(always(direct));
    client.send(GET);
    const { status, head, body } = await client.takeResponse();
    expect([status, body]).toEqual([302, "over there"]);
    for (const line of ["location: https://a/", "set-cookie: a=1", "set-cookie: b=2"])
      expect(head).toContain(`\r\n${line}\r\n`);
    expect(head).toContain("content-type: text/html\r\n");
    expect(head).not.toMatch(/evil|99|bad name|text\/plain/);
  });

  test("with a body does not leave the body behind on the connection", async () => {
    const verdicts: Partial<Verdict>[] = [denied, {}];
    const { client } = await withRules(checking(() => verdicts.shift()!));
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\nabc");
    expect((await client.takeResponse()).status).toBe(403);
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("of gRPC is told so in its own terms", async () => {
    const { mesh, client } = grpc.alone();
    const rules = always({ ...denied, message: "h:n\u00f6" });
    mesh.engine.watchers.policy = new FakePolicy(rules).at("outbound");
    const answer = await client.request({ ...grpcCall, ":authority": "svc" });
    expect(answer.headers).toMatchObject({
      ":status": 200,
      "grpc-status": "7",
      "grpc-message": "h:n%C3%B6",
      "x-mesh-reason": "policy-denied; r.rule.x",
    });
  });
});

describe("header operations", () => {
  test("change the request before its route is chosen, and before it is forwarded", async () => {
    const rules = always({
      requestHeaders: [
        { name: "x-user", value: "admin", operation: "replace" },
        { name: "x-more", value: "1", operation: "append" },
        { name: "X-More", value: "2", operation: "append" },
        { name: "accept", value: "", operation: "remove" },
        { name: ":path", value: "/b?z", operation: "replace" },
        { name: "host", value: "elsewhere", operation: "append" },
        { name: "x-evil", value: "a\r\nb: c", operation: "append" },
        { name: "transfer-encoding", value: "chunked", operation: "replace" },
      ],
    });
    const { client, service } = await withRules(rules);
    client.send("GET /a HTTP/1.1\r\nHost: svc\r\nX-USER: jason\r\nAccept: a\r\nX-Kept: 1\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.received).toBe(
      "GET /b?z HTTP/1.1\r\nHost: svc\r\nX-Kept: 1\r\n" +
        "x-user: admin\r\nx-more: 1\r\nx-more: 2\r\n\r\n",
    );
  });

  test("of the authority lead to another host", async () => {
    const to = (value: string) =>
      always({ requestHeaders: [{ name: ":authority", value, operation: "replace" }] });
    const known = await withRules(to("svc"));
    known.client.send("GET http://elsewhere/x?y HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
    expect((await known.client.takeResponse()).status).toBe(404);
    known.client.send("GET /x HTTP/1.1\r\nHost: SVC\r\n\r\n");
    expect((await known.client.takeResponse()).status).toBe(200);
    expect(known.service.requests[0]?.field("host")).toBe("svc");
    const unknown = await withRules(to("nobody"));
    unknown.client.send(GET);
    expect((await unknown.client.takeResponse()).status).toBe(404);
  });

  test("change the response, one of ours too", async () => {
    const rules = always({
      responseHeaders: [
        { name: "server", value: "mesh", operation: "replace" },
        { name: "x-secret", value: "", operation: "remove" },
        { name: "x-served", value: "yes", operation: "append" },
      ],
    });
    const { client, service } = await withRules(rules, undefined, (_request, reply) =>
      reply.respond(200, "ok", { Server: "app", "X-Secret": "s", "x-kept": "1" }),
    );
    client.send(GET);
    const { head } = await client.takeResponse();
    expect(head).toContain("server: mesh\r\nx-served: yes\r\n");
    expect(head).toContain("x-kept: 1\r\n");
    expect(head).not.toMatch(/app|secret/i);
    service.close();
    client.send(GET);
    const ours = await client.takeResponse();
    expect(ours.status).toBe(503);
    expect(ours.head).toContain("x-served: yes\r\n");
  });

  test("reach streams of HTTP/2 both ways", async () => {
    const { client, mesh } = await grpc.toService((stream, received) => {
      const { "x-user": user, "x-more": more } = received;
      stream.respond({
        ":status": 200,
        "x-secret": "s",
        "x-saw": `${user} ${more} ${received[":path"]}`,
      });
      stream.end();
    });
    const rules = always({
      requestHeaders: [
        { name: "x-user", value: "admin", operation: "replace" },
        { name: "x-more", value: "1", operation: "append" },
        { name: ":path", value: "/moved", operation: "replace" },
      ],
      responseHeaders: [
        { name: "x-secret", value: "", operation: "remove" },
        { name: "x-served", value: "yes", operation: "append" },
      ],
    });
    mesh.engine.watchers.policy = new FakePolicy(rules).at("outbound");
    for (let i = 0; i < 3; i++) {
      const call = { ":path": "/a", ":authority": "svc", "x-user": `u${i}` };
      const { headers: answered } = await client.request(call);
      expect(answered).toMatchObject({ "x-saw": "admin 1 /moved", "x-served": "yes" });
      expect(answered).not.toHaveProperty("x-secret");
    }
  });

  test("are what the access log sees, in a request whose first octets were freed", async () => {
    let text = "";
    const write = (bytes: Uint8Array): void => {
      text += Buffer.from(bytes).toString("latin1");
    };
    const sink = {
      write: (bytes: Uint8Array, done: (written: boolean) => void) => {
        write(bytes);
        done(true);
      },
      writeSync: (bytes: Uint8Array) => {
        write(bytes);
        return true;
      },
    };
    const accessLog = new AccessLog({ format: "json", clock: systemClock, sink });
    const { client, mesh } = await setUp(undefined, { accessLog });
    const requestHeaders = [
      { name: ":path", value: "/changed", operation: "replace" },
      { name: "user-agent", value: "by-rule", operation: "replace" },
    ] as const;
    const rules = new FakePolicy(always({ requestHeaders }));
    mesh.engine.watchers.policy = rules.at("outbound");
    const padding = `x-pad: ${"p".repeat(20_000)}\r\n`;
    client.send(`GET /a HTTP/1.1\r\nHost: svc\r\nUser-Agent: me\r\n${padding}\r\n`);
    expect((await client.takeResponse()).status).toBe(200);
    accessLog.close();
    expect(JSON.parse(text)).toMatchObject({
      path: "/changed",
      user_agent: "by-rule",
      method: "GET",
    });
  });

  test("that make a head too large are no way around the limit", async () => {
    const value = "x".repeat(70_000);
    const { client } = await withRules(
      always({ requestHeaders: [{ name: "x-a", value, operation: "append" }] }),
    );
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(431);
  });
});

describe("what is told of an exchange afterwards", () => {
  const attributes = {
    "request.headers": "STRING_MAP",
    "request.url_path": "STRING",
    "request.size": "INT64",
    "response.code": "INT64",
    "response.size": "INT64",
    "response.headers": "STRING_MAP",
    "response.total_size": "INT64",
    "destination.service.host": "STRING",
    "destination.port": "INT64",
    "context.proxy_error_code": "STRING",
    "check.error_code": "INT64",
    "check.error_message": "STRING",
    "response.grpc_status": "STRING",
    "context.protocol": "STRING",
  } as const;
  const names = [
    ...["request.headers[x-user]", "request.url_path", "request.size", "response.code"],
    ...["response.size", "response.headers[x-app]", "destination.service.host"],
    ...["context.proxy_error_code", "check.error_code"],
  ];
  const telling = (told: unknown[][], check?: FakeRules["check"]): FakeRules => ({
    attributes,
    ...(check && { check }),
    report: (read) => void told.push(names.map((name) => read(name))),
  });
  const until = async (told: readonly unknown[], count: number): Promise<void> => {
    while (told.length < count) await Bun.sleep(1);
  };

  test("is what was there when it ran, however many followed on its connection", async () => {
    const told: unknown[][] = [];
    const { client } = await withRules(telling(told), undefined, (request, reply) =>
      reply.respond(201, request.body, { "X-App": request.target }),
    );
    for (let i = 0; i < 20; i++) {
      const body = "b".repeat(i + 1);
      client.send(
        `POST /p${i}?q HTTP/1.1\r\nHost: svc\r\nX-User: u${i}\r\n` +
          `Content-Length: ${i + 1}\r\n\r\n${body}`,
      );
      await client.takeResponse();
    }
    await until(told, 20);
    for (const [i, values] of told.entries())
      expect(values).toEqual([
        `u${i}`,
        `/p${i}`,
        i + 1,
        201,
        i + 1,
        `/p${i}?q`,
        "svc",
        "-",
        undefined,
      ]);
  });

  test("says who denied, and why it failed", async () => {
    const told: unknown[][] = [];
    const verdicts: Partial<Verdict>[] = [{ code: 7, message: "m" }, {}];
    const { client, service } = await withRules(telling(told, () => verdicts.shift()!));
    client.send(GET);
    await client.takeResponse();
    service.close();
    client.send(GET);
    await client.takeResponse();
    client.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
    await client.takeResponse();
    await until(told, 3);
    expect(told.map((values) => values.slice(-2))).toEqual([
      ["UAEX", 7],
      ["UF", 0],
      ["NR", undefined],
    ]);
    expect(told[0]!.slice(0, 4)).toEqual(["jason", "/a", 0, 403]);
  });

  test("knows a call of gRPC by its status", async () => {
    const told: unknown[][] = [];
    const { client, mesh } = await grpc.toService((stream) => {
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "x-app": "g" },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "5" }));
      stream.end();
    });
    const report: FakeRules["report"] = (read) => {
      told.push(
        [
          "response.grpc_status",
          "context.protocol",
          "response.headers[x-app]",
          "response.code",
        ].map(read),
      );
      return undefined;
    };
    mesh.engine.watchers.policy = new FakePolicy({ attributes, report }).at("outbound");
    await client.request({ ...grpcCall, ":authority": "svc" });
    await until(told, 1);
    expect(told[0]).toEqual(["5", "grpc", "g", 200]);
  });

  test("goes to the mixer too where a rule says so", async () => {
    const mixer = new FakeMixer();
    const { client } = await withRules({ attributes, report: () => true }, mixer);
    client.send(GET);
    await client.takeResponse();
    while (mixer.reports === 0) await Bun.sleep(1);
    expect(mixer.reports).toBe(1);
  });

  test("is dropped where one turn brings more than the queue holds, and counted", () => {
    const rules = new FakePolicy({ attributes, report: () => undefined });
    const { queue } = rules.at("outbound");
    for (let i = 0; i < 5_000; i++) {
      const entry = queue.take();
      if (entry !== undefined) queue.put(entry);
    }
    expect(rules.metrics.counter("dropped", "").value).toBe(5_000 - 4_096);
    queue.flush();
    expect(queue.take()).toBeDefined();
  });
});

test("inbound, the application's own rules are asked, and name its service", async () => {
  const { mesh, service } = await setUp();
  const told: unknown[] = [];
  const attributes = {
    "destination.service": "STRING",
    "destination.port": "INT64",
    "context.reporter.kind": "STRING",
  } as const;
  const check: FakeRules["check"] = (read) => {
    told.push(Object.keys(attributes).map(read));
    return { code: 16, message: "who?" };
  };
  mesh.engine.watchers.policy = new FakePolicy({ attributes, check }).at("inbound");
  const port = mesh.listenInbound(service.port);
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  expect([answer.status, await answer.text()]).toEqual([401, "UNAUTHENTICATED:who?"]);
  expect(told).toEqual([["svc", service.port, "inbound"]]);
});

test("at an edge the client is whom trusted proxies name, and claims are not seen", async () => {
  const { mesh, service } = await setUp(undefined, { edge: { trustedProxies: 1 } });
  const attributes = {
    "origin.ip": "IP_ADDRESS",
    "request.headers": "STRING_MAP",
    "request.scheme": "STRING",
  } as const;
  const seen: unknown[] = [];
  const note: FakeRules["report"] & {} = (read) => {
    const ip = read("origin.ip") as Uint8Array;
    seen.push([ip.join("."), read("request.headers[x-mesh-user]"), read("request.scheme")]);
    return undefined;
  };
  const check: FakeRules["check"] = (read) => {
    note(read);
    return { requestHeaders: [{ name: "x-tier", value: "gold", operation: "append" }] };
  };
  const rules = new FakePolicy({ attributes, check, report: note });
  mesh.engine.watchers.policy = rules.at("outbound");
  const port = mesh.listenEdge();
  const forwarded = { "x-forwarded-for": "6.6.6.6, 203.0.113.9", "x-mesh-user": "forged" };
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    headers: { host: "svc", ...forwarded },
  });
  expect(answer.status).toBe(200);
  expect(service.requests[0]?.field("x-tier")).toBe("gold");
  expect(service.requests[0]?.field("x-mesh-user")).toBeUndefined();
  while (seen.length < 2) await Bun.sleep(1);
  const expected = ["203.0.113.9", undefined, "http"];
  expect(seen).toEqual([expected, expected]);
});
