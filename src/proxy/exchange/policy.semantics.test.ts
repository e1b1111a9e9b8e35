/** What rules of policy make of requests, seen from the client, the service, log and metrics. */
import { describe, expect, test } from "bun:test";
import { HeaderOperation_Operation as Operation } from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { AccessLog } from "../../telemetry/access-log.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { grpcCall, grpcSetUp } from "../../testing/grpc-set-up.ts";
import {
  denyingRule,
  noting,
  notingRule,
  RulePolicy,
  remoteRule,
  rule,
} from "../../testing/rule-policy.ts";
import { ScriptedMixer } from "../../testing/scripted-mixer.ts";

const setUp = engineSetUp();
const grpc = grpcSetUp();
const GET = "GET /a?q=1 HTTP/1.1\r\nHost: svc\r\nx-user: jason\r\n\r\n";

/** An engine with these rules, outbound. */
async function withRules(rules: string | RulePolicy, script?: Parameters<typeof setUp>[0]) {
  const all = await setUp(script);
  const policy = typeof rules === "string" ? new RulePolicy(rules) : rules;
  all.mesh.engine.watchers.policy = policy.at("outbound");
  return all;
}

const isJason = '(request.headers["x-user"] | "") == "jason"';

describe("a request that a rule denies", () => {
  test("is answered by us, with the handler's words and the rule's name", async () => {
    const rules = denyingRule("r", { code: 7, message: "no", match: isJason });
    const { client, service, mesh } = await withRules(rules);
    client.send(GET);
    const answer = await client.takeResponse();
    expect(answer).toMatchObject({ status: 403, body: "PERMISSION_DENIED:r.handler.default:no" });
    expect(answer.head).toContain("x-mesh-reason: policy-denied; r.rule.default\r\n");
    expect(answer.head).toContain("content-type: text/plain\r\n");
    expect(service.requests.length).toBe(0);
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nx-user: other\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(200);
    expect(mesh.scrape()).toMatch(/response_flags="UAEX".* 1\n/);
  });

  // biome-ignore format: a table reads as a table
  const codes: [number, number, string][] = [
    [1, 499, "CANCELLED"], [2, 500, "UNKNOWN"], [3, 400, "INVALID_ARGUMENT"],
    [4, 504, "DEADLINE_EXCEEDED"], [5, 404, "NOT_FOUND"], [6, 409, "ALREADY_EXISTS"],
    [7, 403, "PERMISSION_DENIED"], [8, 429, "RESOURCE_EXHAUSTED"], [9, 400, "FAILED_PRECONDITION"],
    [10, 409, "ABORTED"], [11, 400, "OUT_OF_RANGE"], [12, 501, "UNIMPLEMENTED"],
    [13, 500, "INTERNAL"], [14, 503, "UNAVAILABLE"], [15, 500, "DATA_LOSS"],
    [16, 401, "UNAUTHENTICATED"],
  ];
  test("has the status that a sidecar gives to the code", async () => {
    const rules = codes.map(([code]) =>
      denyingRule(`r${code}`, { code, message: "m", match: `request.path == "/${code}"` }),
    );
    const { client } = await withRules(rules.join(""));
    for (const [code, status, name] of codes) {
      client.send(`GET /${code} HTTP/1.1\r\nHost: svc\r\n\r\n`);
      const body = `${name}:r${code}.handler.default:m`;
      expect(await client.takeResponse()).toMatchObject({ status, body });
    }
  });

  test("by a quota says after how many seconds to come again", async () => {
    const { client, mesh } = await withRules(rule("q", { rateLimit: "1/2s" }));
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
    client.send(GET);
    const { status, head } = await client.takeResponse();
    expect(status).toBe(429);
    expect(head).toContain("retry-after: 2\r\n");
    expect(head).toContain("x-mesh-reason: rate-limited; q.rule.default\r\n");
    expect(mesh.scrape()).toMatch(/response_flags="RL".* 1\n/);
  });

  test("directly has the rule's own status, body and headers, none of which split it", async () => {
    const direct = {
      ...{ code: 302, body: "over there" },
      headers: {
        ...{ Location: "https://a/", "content-type": "text/html", "Set-Cookie": "a=1,b=2" },
        ...{ "x-bad": "a\r\nx-evil: 1", "content-length": "99", "bad name": "x" },
      },
    };
    const { client } = await withRules(denyingRule("r", { code: 7, direct }));
    client.send(GET);
    const { status, head, body } = await client.takeResponse();
    expect([status, body]).toEqual([302, "over there"]);
    for (const line of ["location: https://a/", "set-cookie: a=1", "set-cookie: b=2"])
      expect(head).toContain(`\r\n${line}\r\n`);
    expect(head).toContain("content-type: text/html\r\n");
    expect(head).not.toMatch(/evil|99|bad name|text\/plain/);
  });

  test("with a body does not leave the body behind on the connection", async () => {
    const { client } = await withRules(
      denyingRule("r", { code: 7, match: 'request.method == "POST"' }),
    );
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\nabc");
    expect((await client.takeResponse()).status).toBe(403);
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("of gRPC is told so in its own terms", async () => {
    const { mesh, client } = grpc.alone();
    const rules = denyingRule("r", { code: 7, message: "n\u00f6" });
    mesh.engine.watchers.policy = new RulePolicy(rules).at("outbound");
    const answer = await client.request({ ...grpcCall, ":authority": "svc" });
    expect(answer.headers).toMatchObject({
      ":status": 200,
      "grpc-status": "7",
      "grpc-message": "r.handler.default:n%C3%B6",
      "x-mesh-reason": "policy-denied; r.rule.default",
    });
  });
});

describe("header operations", () => {
  test("change the request before its route is chosen, and before it is forwarded", async () => {
    const rules = rule("r", {
      requestHeaderOperations: [
        { name: "x-user", values: ['"admin"'] },
        { name: "X-More", values: ['"1"', '"2"'], operation: "APPEND" },
        { name: "accept", operation: "REMOVE" },
        { name: ":path", values: ['"/b?z"'] },
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

  test("of a mixer reach no further than those of rules", async () => {
    const mixer = await ScriptedMixer.open();
    const all = await setUp();
    const policy = new RulePolicy(remoteRule("r"));
    all.mesh.engine.watchers.policy = policy.at("outbound", mixer.client());
    all.client.send("GET /a HTTP/1.1\r\nHost: svc\r\n\r\n");
    while (mixer.asked.length === 0) await Bun.sleep(1);
    mixer.asked[0]!.answer({
      routeDirective: {
        requestHeaderOperations: [
          { name: "X-More", value: "1", operation: Operation.APPEND },
          { name: "host", value: "elsewhere", operation: Operation.APPEND },
          { name: "x-evil", value: "a\r\nb: c", operation: Operation.APPEND },
          { name: "bad name", value: "x", operation: Operation.REPLACE },
          { name: "transfer-encoding", value: "chunked", operation: Operation.REPLACE },
        ],
      },
    });
    expect((await all.client.takeResponse()).status).toBe(200);
    expect(all.service.received).toBe("GET /a HTTP/1.1\r\nHost: svc\r\nx-more: 1\r\n\r\n");
    await mixer.close();
  });

  test("of the authority lead to another host", async () => {
    const to = (value: string) =>
      rule("r", { requestHeaderOperations: [{ name: ":authority", values: [`"${value}"`] }] });
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
    const rules = rule("r", {
      responseHeaderOperations: [
        { name: "server", values: ['"mesh"'] },
        { name: "x-secret", operation: "REMOVE" },
        { name: "x-served", values: ['"yes"'], operation: "APPEND" },
      ],
    });
    const { client, service } = await withRules(rules, (_request, reply) =>
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
    const rules = rule("r", {
      requestHeaderOperations: [
        { name: "x-user", values: ['"admin"'] },
        { name: "x-more", values: ['"1"'], operation: "APPEND" },
        { name: ":path", values: ['"/moved"'] },
      ],
      responseHeaderOperations: [
        { name: "x-secret", operation: "REMOVE" },
        { name: "x-served", values: ['"yes"'], operation: "APPEND" },
      ],
    });
    mesh.engine.watchers.policy = new RulePolicy(rules).at("outbound");
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
    const rules = rule("r", {
      requestHeaderOperations: [
        { name: ":path", values: ['"/changed"'] },
        { name: "user-agent", values: ['"by-rule"'] },
      ],
    });
    mesh.engine.watchers.policy = new RulePolicy(rules).at("outbound");
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
    const value = Array(4).fill('request.headers["x-a"]').join(" + ");
    const rules = rule("r", { requestHeaderOperations: [{ name: "x-b", values: [value] }] });
    const { client } = await withRules(rules);
    client.send(`GET / HTTP/1.1\r\nHost: svc\r\nX-A: ${"x".repeat(20_000)}\r\n\r\n`);
    expect((await client.takeResponse()).status).toBe(431);
  });
});

describe("a client certificate that a stranger writes of", () => {
  const cert = 'request.headers["x-forwarded-client-cert"]';
  const forged = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\n";
  const ask = `GET /a HTTP/1.1\r\nHost: svc\r\n${forged}x-a: b\r\n${forged}\r\n`;

  test("is seen by no rule, neither before nor afterwards, and by no service", async () => {
    const told: unknown[][] = [];
    const rules = new RulePolicy(
      denyingRule("r", { code: 7, message: "m", match: `(${cert} | "") != ""` }) +
        notingRule([`${cert} | "-"`, 'request.headers["x-a"] | "-"']),
      [noting((values) => void told.push([...values]))],
    );
    const { client, service } = await withRules(rules);
    for (let i = 0; i < 3; i++) {
      client.send(ask);
      expect((await client.takeResponse()).status).toBe(200);
    }
    while (told.length < 3) await Bun.sleep(1);
    expect(told).toEqual([
      ["-", "b"],
      ["-", "b"],
      ["-", "b"],
    ]);
    for (const { field } of service.requests)
      expect(field("x-forwarded-client-cert")).toBeUndefined();
  });

  test("is no proof to a rule that asks for one", async () => {
    const match = `(${cert} | "") == ""`;
    const { client, service } = await withRules(denyingRule("r", { code: 7, match }));
    client.send(ask);
    expect((await client.takeResponse()).status).toBe(403);
    expect(service.requests).toEqual([]);
  });
});

describe("what is told of an exchange afterwards", () => {
  const names = [
    ...['request.headers["x-user"] | "-"', "request.url_path", "request.size", "response.code"],
    ...["response.size", 'response.headers["x-app"] | "-"', 'destination.service.host | "-"'],
    ...["context.proxy_error_code", "check.error_code | -1"],
  ];
  const telling = (told: unknown[][], more = ""): RulePolicy =>
    new RulePolicy(`${notingRule(names)}${more}`, [
      noting((values) => void told.push([...values])),
    ]);
  const until = async (told: readonly unknown[], count: number): Promise<void> => {
    while (told.length < count) await Bun.sleep(1);
  };

  test("is what was there when it ran, however many followed on its connection", async () => {
    const told: unknown[][] = [];
    const { client } = await withRules(telling(told), (request, reply) =>
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
      expect(values).toEqual([`u${i}`, `/p${i}`, i + 1, 201, i + 1, `/p${i}?q`, "svc", "-", -1]);
  });

  test("says who denied, and why it failed", async () => {
    const told: unknown[][] = [];
    const denial = denyingRule("r", { code: 7, match: `${isJason} && request.path == "/a?q=1"` });
    const { client, service } = await withRules(telling(told, denial));
    client.send(GET);
    await client.takeResponse();
    service.close();
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    await client.takeResponse();
    client.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
    await client.takeResponse();
    await until(told, 3);
    expect(told.map((values) => values.slice(-2))).toEqual([
      ["UAEX", 7],
      ["UF", 0],
      ["NR", -1],
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
      stream.on("wantTrailers", () =>
        stream.sendTrailers({ "grpc-status": "5", "grpc-message": "no%20such%20book" }),
      );
      stream.end();
    });
    const policy = new RulePolicy(
      notingRule([
        ...["response.grpc_status", "response.grpc_message", "context.protocol"],
        ...['response.headers["x-app"]', "response.code"],
      ]),
      [noting((values) => void told.push([...values]))],
    );
    mesh.engine.watchers.policy = policy.at("outbound");
    await client.request({ ...grpcCall, ":authority": "svc" });
    await until(told, 1);
    expect(told[0]).toEqual(["5", "no such book", "grpc", "g", 200]);
  });

  test("goes to the mixer too where a rule says so", async () => {
    const mixer = await ScriptedMixer.open();
    const { client, mesh } = await setUp();
    const handler = { compiledAdapter: "webhook", params: { url: "http://127.0.0.1:1/" } };
    const instances = [{ compiledTemplate: "logentry", params: { variables: {} } }];
    const rules = new RulePolicy(rule("r", { actions: [{ handler, instances }] }));
    mesh.engine.watchers.policy = rules.at("outbound", mixer.client());
    client.send(GET);
    await client.takeResponse();
    while (mixer.reported === 0) await Bun.sleep(1);
    expect(mixer.reported).toBe(1);
    await mixer.close();
  });

  test("is dropped where one turn brings more than the queue holds, and counted", () => {
    const rules = telling([]);
    const { queue } = rules.at("outbound");
    for (let i = 0; i < 5_000; i++) {
      const entry = queue.take();
      if (entry !== undefined) queue.put(entry);
    }
    expect(rules.test.metrics.counter("dropped", "").value).toBe(5_000 - 4_096);
    queue.flush();
    expect(queue.take()).toBeDefined();
  });
});

test("inbound, the application's own rules are asked, and name its service", async () => {
  const { mesh, service } = await setUp();
  const facts = [
    ...['destination.service == "svc"', `destination.port == ${service.port}`],
    'context.reporter.kind == "inbound"',
  ];
  const rules = denyingRule("r", { code: 16, message: "who?", match: facts.join(" && ") });
  mesh.engine.watchers.policy = new RulePolicy(rules).at("inbound");
  const port = mesh.listenInbound(service.port);
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  const words = "UNAUTHENTICATED:r.handler.default:who?";
  expect([answer.status, await answer.text()]).toEqual([401, words]);
});

test("at an edge the client is whom trusted proxies name, and claims are not seen", async () => {
  const { mesh, service } = await setUp(undefined, { edge: { trustedProxies: 1 } });
  const facts = [
    ...['origin.ip == ip("203.0.113.9")', 'request.scheme == "http"'],
    '(request.headers["x-mesh-user"] | "") == ""',
  ].join(" && ");
  const seen: unknown[] = [];
  const rules = new RulePolicy(
    rule("tier", {
      match: facts,
      requestHeaderOperations: [{ name: "x-tier", values: ['"gold"'], operation: "APPEND" }],
    }) + notingRule(["request.scheme"], facts),
    [noting((values) => void seen.push(...values))],
  );
  mesh.engine.watchers.policy = rules.at("outbound");
  const port = mesh.listenEdge();
  const forwarded = { "x-forwarded-for": "6.6.6.6, 203.0.113.9", "x-mesh-user": "forged" };
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    headers: { host: "svc", ...forwarded },
  });
  expect(answer.status).toBe(200);
  expect(service.requests[0]?.field("x-tier")).toBe("gold");
  expect(service.requests[0]?.field("x-mesh-user")).toBeUndefined();
  while (seen.length < 1) await Bun.sleep(1);
  expect(seen).toEqual(["http"]);
});
