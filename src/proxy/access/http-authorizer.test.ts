/** External authorizers over HTTP: what they are asked, what they answer, and what is no answer. */
import { afterEach, describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ExternalAuthorizerSchema } from "../../api/gen/mesh/v1/access_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { accessRequest, passedOn, type RequestOptions } from "../../testing/access-request.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import { freePorts } from "../../testing/free-port.ts";
import { HeaderEdits } from "../policy/header-edit.ts";
import type { AccessPass, AccessRefusal, AccessRequest, AccessStep } from "./access-step.ts";
import { ExternalAuthorizerSteps } from "./ext-authz-steps.ts";

type RuleInit = Exclude<MessageInitShape<typeof ExternalAuthorizerSchema>, { $typeName: unknown }>;

const HTTP = 1;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function maker(metrics = new Metrics()) {
  const log = new Log("test", { level: "error" });
  const parts = { clock: systemClock, random: seededRandom(1), log, metrics };
  const steps = new ExternalAuthorizerSteps(parts);
  closers.push(() => steps.close());
  return steps;
}

const ruleAt = (port: number, rule: RuleInit = {}) =>
  create(ExternalAuthorizerSchema, {
    ...{ name: "opa", protocol: HTTP, service: "127.0.0.1", port, timeoutMs: 5_000 },
    ...rule,
  });

function setUp(script: FakeScript, rule: RuleInit = {}) {
  const metrics = new Metrics();
  const server = new FakeUpstream({ script });
  closers.push(() => server.close());
  return { server, metrics, step: maker(metrics).stepFor(ruleAt(server.port, rule)) };
}

function ask(step: AccessStep, request: AccessRequest): Promise<AccessPass | AccessRefusal> {
  return new Promise((resolve) => {
    let hasReturned = false;
    const answered = (answer: AccessPass | AccessRefusal): void => {
      expect(hasReturned).toBe(true);
      resolve(answer);
    };
    const answer = step.ask(request, { answered });
    hasReturned = true;
    // The connection's memory is another request's by the time that it is answered.
    if (answer?.at === "waiting") request.head.bytes.fill(0);
    else if (answer !== undefined) resolve(answer);
  });
}

const allow: FakeScript = (_, reply) => reply.respond(200);

describe("what is asked", () => {
  const asked = async (
    rule: RuleInit,
    request: readonly [string, (readonly string[])?, RequestOptions?],
  ): Promise<string[]> => {
    const { server, step } = setUp(allow, rule);
    expect((await ask(step, accessRequest(...request))).at).toBe("passed");
    const { head, body } = server.requests[0]!;
    return [...head.trimEnd().split("\r\n"), ...(body === "" ? [] : [body])];
  };
  const fields = ["X-User: bob", "x-team: a", "x-team: b", "cookie: a=b", "Authorization: x"];

  test("the head alone, with its credentials", async () => {
    expect(await asked({}, ["POST /a/b?c=d", [...fields, "content-length: 5"]])).toEqual([
      ...["POST /a/b?c=d HTTP/1.1", "host: shop.example", "authorization: x", "content-length: 0"],
    ]);
  });

  test("under a path of its own", async () => {
    const [line] = await asked({ pathPrefix: "/check" }, ["GET /a?b"]);
    expect(line).toBe("GET /check/a?b HTTP/1.1");
    expect((await asked({ pathPrefix: "/check/" }, ["GET /a?b"]))[0]).toBe(line!);
  });

  test("fields by name and by pattern", async () => {
    const rule = { includeRequestHeaders: ["X-User", "x-te*", "*kie", "host", "content-length"] };
    expect(await asked(rule, ["GET /", fields])).toEqual([
      ...["GET / HTTP/1.1", "host: shop.example", "x-user: bob", "x-team: a,b", "cookie: a=b"],
      ...["authorization: x", "content-length: 0"],
    ]);
    const exact = { includeRequestHeaders: ["x-team", "x-none", "connection"] };
    expect(await asked(exact, ["GET /", [...fields, "connection: x-user"]])).toEqual([
      ...["GET / HTTP/1.1", "host: shop.example", "authorization: x", "x-team: a,b"],
      "content-length: 0",
    ]);
  });

  test("fields of the provider, and not the client's of the same name", async () => {
    const rule = {
      includeRequestHeaders: ["x-*"],
      additionalHeaders: [{ name: "X-User", value: "mesh" }],
    };
    expect(await asked(rule, ["GET /", fields])).toEqual([
      ...["GET / HTTP/1.1", "host: shop.example", "x-team: a,b", "authorization: x"],
      ...["x-user: mesh", "content-length: 0"],
    ]);
  });

  test("the content, as far as it may be seen", async () => {
    const body = { maxBytes: 10, allowPartial: true };
    const options = { body: "name=bob", bodyIsPartial: true };
    const partial = ["x-envoy-auth-partial-body: false"];
    expect(await asked({ body }, ["POST /", partial, options])).toEqual([
      ...["POST / HTTP/1.1", "host: shop.example", "x-envoy-auth-partial-body: true"],
      ...["content-length: 8", "name=bob"],
    ]);
    const { step } = setUp(allow, { body });
    expect([step.bodyBytesMax, step.refusesLarger]).toEqual([10, false]);
  });

  test("content that may not be shown in part", async () => {
    const { step, server } = setUp(allow, { body: { maxBytes: 10, allowPartial: false } });
    expect(step.refusesLarger).toBe(true);
    const request = accessRequest("POST /", [], { body: "name=bob", bodyIsPartial: true });
    expect(await ask(step, request)).toMatchObject({ failure: { http: 413 } });
    expect(server.requests).toEqual([]);
  });
});

describe("yes", () => {
  const rule = {
    headersToUpstreamOnAllow: ["x-user", "x-scope-*"],
    headersToDownstreamOnAllow: ["x-session", "set-cookie"],
  };
  const answer = (lines: string, status = "200 OK"): FakeScript => {
    return (_, reply) => reply.send(`HTTP/1.1 ${status}\r\n${lines}content-length: 0\r\n\r\n`);
  };

  test("fields that are named go to whom the request is for", async () => {
    const said = "X-User: bob\r\nx-scope-a: 1\r\nx-scope-a: 2\r\nx-other: 1\r\n";
    const { step } = setUp(answer(said), rule);
    const request = accessRequest("GET /", ["x-user: forged", "x-scope-a: forged", "x-other: own"]);
    const kept = accessRequest("GET /", ["x-user: forged", "x-scope-a: forged", "x-other: own"]);
    expect(passedOn(kept, (await ask(step, request)) as AccessPass)).toEqual([
      ...["GET /", "x-other: own", "x-user: bob", "x-scope-a: 1", "x-scope-a: 2"],
    ]);
  });

  test("and others to whoever asked", async () => {
    const { step } = setUp(answer("set-cookie: a=b\r\nset-cookie: c=d\r\nx-other: 1\r\n"), rule);
    const { responseHeaders = [] } = (await ask(step, accessRequest("GET /"))) as AccessPass;
    expect(Buffer.from(new HeaderEdits().add(responseHeaders).lines).toString()).toBe(
      "set-cookie: a=b\r\nset-cookie: c=d\r\n",
    );
  });

  test("it may take fields out", async () => {
    const { step } = setUp(answer("x-envoy-auth-headers-to-remove: x-a, Cookie ,host,\r\n"));
    const kept = accessRequest("GET /", ["x-a: 1", "cookie: a", "x-b: 1"]);
    const answered = await ask(step, accessRequest("GET /", ["x-a: 1", "cookie: a", "x-b: 1"]));
    expect(passedOn(kept, answered as AccessPass)).toEqual(["GET /", "x-b: 1"]);
  });

  test("nothing else goes on, and nothing of the connection", async () => {
    const { step } = setUp(answer("x-user: bob\r\nconnection: x-user\r\nhost: evil\r\n"), {
      headersToUpstreamOnAllow: ["*"],
    });
    expect(((await ask(step, accessRequest("GET /"))) as AccessPass).requestHeaders).toEqual([]);
  });
});

describe("more than a message has room for", () => {
  const many = Array.from({ length: 99 }, (_, i) => `x-scope-${i}: a\r\n`).join("");
  const long = (count: number, size: number) =>
    Array.from({ length: count }, (_, i) => `x-scope-${i}: ${"a".repeat(size)}\r\n`).join("");
  const answered = async (status: string, lines: string) => {
    const octets = `HTTP/1.1 ${status}\r\n${lines}content-length: 0\r\n\r\n`;
    const { step } = setUp((_, reply) => reply.send(octets), {
      headersToUpstreamOnAllow: ["*"],
    });
    return await ask(step, accessRequest("GET /"));
  };

  test("is no yes", async () => {
    expect((await answered("200 OK", many)).at).toBe("passed");
    for (const lines of [long(10, 4_000), `${many}${many}`, long(1, 70_000)])
      expect(await answered("200 OK", lines)).toMatchObject({
        ...{ at: "refused", status: 0 },
        failure: { reason: "authorizer-unanswered" },
      });
  });

  test("is a no all the same, of which less is told", async () => {
    expect(await answered("403 No", long(10, 4_000))).toMatchObject({ status: 403, lines: "" });
  });
});

describe("no", () => {
  const answer: FakeScript = (_, reply) =>
    reply.send(
      "HTTP/1.1 302 Found\r\nlocation: /login\r\nx-why: no\r\ndate: now\r\n" +
        "www-authenticate: x\r\n" +
        "content-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    );

  test("its answer is the answer", async () => {
    const { step } = setUp(answer);
    expect(await ask(step, accessRequest("GET /"))).toMatchObject({
      ...{ at: "refused", status: 302, body: "no", failure: { flag: "UAEX" } },
      lines: "location: /login\r\nx-why: no\r\nwww-authenticate: x\r\ncontent-type: text/html\r\n",
      by: { object: "ExternalAuthorizer/opa", reason: "it answered 302" },
    });
  });

  test("with the fields that are named, and those that it means nothing without", async () => {
    const { step } = setUp(answer, { headersToDownstreamOnDeny: ["x-none"] });
    const { lines } = (await ask(step, accessRequest("GET /"))) as AccessRefusal;
    expect(lines).toBe("location: /login\r\nwww-authenticate: x\r\ncontent-type: text/html\r\n");
  });

  test.each([201, 204, 301, 400, 401, 403, 404, 429, 499])("%i", async (status) => {
    const { step } = setUp((_, reply) => reply.respond(status));
    expect(await ask(step, accessRequest("GET /"))).toMatchObject({ at: "refused", status });
  });
});

type Fault = readonly [what: string, script: FakeScript, reason: string];
const faults: readonly Fault[] = [
  ["an error", (_, reply) => reply.respond(500), "it answered 500"],
  ["that it is away", (_, reply) => reply.respond(503), "it answered 503"],
  [
    "nothing of HTTP",
    (_, reply) => reply.send("hello\r\n\r\n"),
    "the answer is no HTTP: status line",
  ],
  ["with a reset", (_, reply) => reply.reset(), "connection lost"],
  ["with an end", (_, reply) => reply.end(), "connection lost"],
  [
    "half",
    (_, reply) => {
      reply.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\na");
      reply.end();
    },
    "the answer is cut short",
  ],
  [
    "without end",
    (_, reply) => reply.send(`HTTP/1.1 200 OK\r\n\r\n${"a".repeat(100_000)}`),
    "the answer is too long",
  ],
  ["never", () => {}, "no answer in time"],
  ["a little", (_, reply) => reply.send("HTTP/1.1 200 OK\r\n"), "no answer in time"],
];

describe.each(faults)("who answers %s has judged nothing", (_, script, reason) => {
  const timeoutMs = reason === "no answer in time" ? 50 : 5_000;

  test("closed unless told", async () => {
    const { step, metrics } = setUp(script, { timeoutMs });
    expect(await ask(step, accessRequest("GET /"))).toMatchObject({
      ...{ at: "refused", status: 0, body: "", by: { reason } },
      failure: { http: 403, reason: "authorizer-unanswered" },
    });
    const line = 'mesh_ext_authz_total{authorizer="opa",result="failed"} 1';
    expect(renderPrometheus([metrics])).toContain(line);
  });

  test("with a status of the provider's", async () => {
    const { step } = setUp(script, { timeoutMs, statusOnError: 503 });
    expect(await ask(step, accessRequest("GET /"))).toMatchObject({ status: 503 });
  });

  test("open where the provider says so", async () => {
    const { step } = setUp(script, { timeoutMs, failOpen: true });
    expect(await ask(step, accessRequest("GET /"))).toEqual({ at: "passed" });
  });
});

test("who is away has judged nothing, and neither has who waits too long", async () => {
  const [port] = freePorts(1);
  const step = maker().stepFor(ruleAt(port!));
  const answer = (await ask(step, accessRequest("GET /"))) as AccessRefusal;
  expect(answer.by.reason).toBe("connection refused");
  expect(step.timeoutMs).toBeGreaterThan(5_000);
  expect(step.late).toMatchObject({ at: "refused", failure: { http: 403 } });
  expect(maker().stepFor(ruleAt(port!, { failOpen: true })).late).toEqual({ at: "passed" });
  expect(maker().stepFor(ruleAt(port!, { timeoutMs: 0 })).timeoutMs).toBeLessThan(3_000);
});

describe("connections", () => {
  test("are kept, and the questions of a moment share them", async () => {
    const { step, server } = setUp(allow);
    for (let i = 0; i < 5; i++) await ask(step, accessRequest("GET /"));
    expect(server.connections).toBe(1);
    await Promise.all(Array.from({ length: 10 }, () => ask(step, accessRequest("GET /"))));
    expect(server.connections).toBe(10);
    await Promise.all(Array.from({ length: 10 }, () => ask(step, accessRequest("GET /"))));
    expect(server.connections).toBe(10);
  });

  test("that are lost while they are new are no answer, and nobody is asked twice", async () => {
    const { step, server } = setUp((_, reply) => reply.reset());
    expect((await ask(step, accessRequest("GET /"))).at).toBe("refused");
    expect(server.requests.length).toBe(1);
  });

  test("that were closed meanwhile are no answer", async () => {
    const { step, server } = setUp(allow);
    await ask(step, accessRequest("GET /"));
    // It takes the question, and is gone with it.
    server.script = (_, reply) => {
      server.script = allow;
      reply.reset();
    };
    expect((await ask(step, accessRequest("GET /"))).at).toBe("passed");
    expect(server.connections).toBe(2);
  });

  test("are no more than 64, and the questions wait for them", async () => {
    const waiting: (() => void)[] = [];
    const { step, server } = setUp((_, reply) => void waiting.push(() => reply.respond(200)));
    const asked = Array.from({ length: 100 }, () => ask(step, accessRequest("GET /")));
    await server.until(() => waiting.length === 64);
    expect(server.connections).toBe(64);
    for (let i = 0; i < 100; i++) {
      await server.until(() => waiting.length > 0);
      waiting.shift()!();
    }
    await Promise.all(asked);
    expect(server.connections).toBe(64);
  });

  test("of HEAD are not kept: what some servers send behind would be the next answer", async () => {
    const { step, server } = setUp((request, reply) => {
      if (request.method !== "HEAD") return reply.respond(403);
      reply.send("HTTP/1.1 403 No\r\ncontent-length: 38\r\n\r\n");
      setTimeout(() => reply.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 1);
    });
    for (let i = 0; i < 5; i++) {
      expect(await ask(step, accessRequest("HEAD /"))).toMatchObject({ status: 403, body: "" });
      expect(await ask(step, accessRequest("GET /"))).toMatchObject({ status: 403 });
    }
    expect(server.requests.length).toBe(10);
  });

  test("with too many questions the next has no answer", async () => {
    const { step } = setUp(() => {}, { timeoutMs: 300 });
    const asked = Array.from({ length: 64 + 1_001 }, () => ask(step, accessRequest("GET /")));
    const last = (await asked.at(-1)!) as AccessRefusal;
    expect(last.by.reason).toBe("too many questions at a time");
    await Promise.all(asked);
  });

  test("of exchanges that are over are closed, and nobody is told", async () => {
    const { step, server } = setUp(() => {});
    const waiting = step.ask(accessRequest("GET /"), { answered: () => expect.unreachable() });
    await server.until(() => server.requests.length === 1);
    if (waiting?.at === "waiting") waiting.cancel();
    await server.until(() => server.openConnections === 0);
  });

  test("outlive a configuration that says the same", async () => {
    const server = new FakeUpstream({ script: allow });
    closers.push(() => server.close());
    const steps = maker();
    const step = steps.stepFor(ruleAt(server.port));
    expect(steps.stepFor(ruleAt(server.port))).toBe(step);
    const other = steps.stepFor(ruleAt(server.port, { pathPrefix: "/x" }));
    expect(other).not.toBe(step);
    // Requests that began before are answered still.
    expect((await ask(step, accessRequest("GET /"))).at).toBe("passed");
  });
});
