/** External authorizers over gRPC, as they are written for Envoy: servers of grpc-js. */
import { afterEach, describe, expect, test } from "bun:test";
import { create, fromBinary, type MessageInitShape, toBinary, toJson } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import {
  CheckRequestSchema,
  CheckResponseSchema,
} from "../../api/gen/envoy/service/auth/v3/external_auth_pb.ts";
import { ExternalAuthorizerSchema } from "../../api/gen/mesh/v1/access_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { accessRequest, passedOn } from "../../testing/access-request.ts";
import { freePorts } from "../../testing/free-port.ts";
import { ConnectionFacts } from "../policy/connection-facts.ts";
import type { AccessPass, AccessRefusal, AccessRequest, AccessStep } from "./access-step.ts";
import { readCheckAnswer } from "./check-response.ts";
import { ExternalAuthorizerSteps } from "./ext-authz-steps.ts";

type RuleInit = Exclude<MessageInitShape<typeof ExternalAuthorizerSchema>, { $typeName: unknown }>;
type ResponseInit = Exclude<MessageInitShape<typeof CheckResponseSchema>, { $typeName: unknown }>;
type Answer = ResponseInit | Uint8Array | grpc.ServiceError["code"] | "never";

const GRPC = 2;
const PATH = "/envoy.service.auth.v3.Authorization/Check";
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

interface Asked {
  readonly request: unknown;
  readonly metadata: grpc.Metadata;
  readonly deadline: grpc.Deadline;
}

async function serve(answer: () => Answer) {
  const asked: Asked[] = [];
  const server = new grpc.Server();
  const definition = {
    ...{ path: PATH, requestStream: false, responseStream: false, originalName: "check" },
    requestSerialize: () => Buffer.alloc(0),
    requestDeserialize: (bytes: Buffer) =>
      toJson(CheckRequestSchema, fromBinary(CheckRequestSchema, bytes)),
    responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    responseDeserialize: (bytes: Buffer) => bytes,
  };
  const handle: grpc.handleUnaryCall<unknown, Uint8Array> = (call, reply) => {
    const { request, metadata } = call;
    asked.push({ request, metadata, deadline: call.getDeadline() });
    const said = answer();
    if (said === "never") return;
    if (typeof said === "number") return reply({ code: said, details: "not now" });
    if (said instanceof Uint8Array) return reply(null, said);
    reply(null, toBinary(CheckResponseSchema, create(CheckResponseSchema, said)));
  };
  server.addService({ Check: definition } as grpc.ServiceDefinition, { Check: handle });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  closers.push(() => server.forceShutdown());
  return { port, asked };
}

function stepAt(port: number, rule: RuleInit = {}): AccessStep {
  const log = new Log("test", { level: "error" });
  const parts = { clock: systemClock, random: seededRandom(1), log, metrics: new Metrics() };
  const steps = new ExternalAuthorizerSteps(parts);
  closers.push(() => steps.close());
  const address = { name: "opa", protocol: GRPC, service: "127.0.0.1", port, timeoutMs: 5_000 };
  return steps.stepFor(create(ExternalAuthorizerSchema, { ...address, ...rule }));
}

async function setUp(answer: Answer, rule: RuleInit = {}) {
  const server = await serve(() => answer);
  return { ...server, step: stepAt(server.port, rule) };
}

function ask(step: AccessStep, request: AccessRequest): Promise<AccessPass | AccessRefusal> {
  return new Promise((resolve) => {
    const answer = step.ask(request, { answered: resolve });
    if (answer?.at === "waiting") request.head.bytes.fill(0);
    else if (answer !== undefined) resolve(answer);
  });
}

const yes: ResponseInit = { status: { code: 0 } };
const said = (key: string, value: string, append?: boolean) => ({
  header: { key, value },
  ...(append !== undefined && { append }),
});

describe("what is asked", () => {
  test("the whole head, and who calls", async () => {
    const { step, asked } = await setUp(yes);
    const source = { address: "10.1.2.3", port: 4567 };
    const local = { address: "10.0.0.9", port: 15006 };
    const connection = Object.assign(new ConnectionFacts(source, local, undefined), {
      principal: "cluster.local/ns/default/sa/web",
    });
    const fields = ["X-Team: a", "x-team: b", "content-length: 7", "x-request-id: r-1"];
    const wallMs = Date.UTC(2026, 0, 1) + 250;
    await ask(step, accessRequest("POST /a/b?c=d", fields, { connection, wallMs }));
    const [{ request, deadline, metadata }] = asked as [Asked];
    expect(request).toEqual({
      attributes: {
        source: {
          address: { socketAddress: { address: "10.1.2.3", portValue: 4567 } },
          principal: "spiffe://cluster.local/ns/default/sa/web",
        },
        destination: { address: { socketAddress: { address: "10.0.0.9", portValue: 15006 } } },
        request: {
          time: "2026-01-01T00:00:00.250Z",
          http: {
            ...{ id: "r-1", method: "POST", path: "/a/b?c=d", query: "c=d", size: "7" },
            ...{ host: "shop.example", scheme: "http", protocol: "HTTP/1.1" },
            headers: {
              ...{ ":authority": "shop.example", ":method": "POST", ":path": "/a/b?c=d" },
              ...{ ":scheme": "http", host: "shop.example", "x-team": "a,b" },
              ...{ "content-length": "7", "x-request-id": "r-1" },
            },
          },
        },
        tlsSession: {},
      },
    });
    expect(deadline).not.toBe(Number.POSITIVE_INFINITY);
    expect(metadata.get("x-from")).toEqual([]);
  });

  test("the content, as text or as octets", async () => {
    const http = async (packAsBytes: boolean): Promise<unknown> => {
      const body = { maxBytes: 10, allowPartial: true, packAsBytes };
      const { step, asked } = await setUp(yes, { body });
      await ask(step, accessRequest("POST /", [], { body: "name=bob", bodyIsPartial: true }));
      const { attributes } = asked[0]!.request as {
        attributes: { request: { http: Record<string, unknown> } };
      };
      const { body: text, rawBody, headers } = attributes.request.http;
      return { text, rawBody, partial: (headers as object)["x-envoy-auth-partial-body" as never] };
    };
    expect(await http(false)).toEqual({ text: "name=bob", partial: "true" });
    expect(await http(true)).toEqual({ rawBody: btoa("name=bob"), partial: "true" });
  });

  test("with metadata of the provider", async () => {
    const additionalHeaders = [{ name: "x-from", value: "mesh" }];
    const { step, asked } = await setUp(yes, { additionalHeaders });
    await ask(step, accessRequest("GET /"));
    expect(asked[0]!.metadata.get("x-from")).toEqual(["mesh"]);
  });
});

describe("yes", () => {
  const sent = async (
    ok: object,
    line: string,
    fields: readonly string[] = [],
  ): Promise<readonly string[]> => {
    const httpResponse = { case: "okResponse", value: ok } as const;
    const { step } = await setUp({ ...yes, httpResponse } as ResponseInit);
    const answer = await ask(step, accessRequest(line, fields));
    expect(answer.at).toBe("passed");
    return passedOn(accessRequest(line, fields), answer as AccessPass);
  };

  test("with no more than that", async () => {
    const { step } = await setUp(yes);
    expect(await ask(step, accessRequest("GET /"))).toEqual({ at: "passed" });
  });

  test("fields are put in place of what was there, or beside it", async () => {
    const headers = [said("X-A", "1"), said("x-b", "2", true), said("x-c", "3", false)];
    expect(await sent({ headers }, "GET /", ["x-a: 0", "x-b: 0", "x-c: 0"])).toEqual([
      ...["GET /", "x-b: 0", "x-a: 1", "x-b: 2", "x-c: 3"],
    ]);
  });

  test("fields and parameters are taken out and set", async () => {
    const ok = {
      headersToRemove: ["X-A", "host", ":path"],
      queryParametersToRemove: ["a"],
      queryParametersToSet: [{ key: "b", value: "x y&z" }],
    };
    const line = "GET /p?a=1&b=1&c=1&b&%61=2";
    expect(await sent(ok, line, ["x-a: 0", "x-b: 1"])).toEqual([
      ...["GET /p?c=1&b=x%20y%26z", "x-b: 1"],
    ]);
    expect(await sent({ queryParametersToRemove: ["a"] }, "GET /p?a=1")).toEqual(["GET /p"]);
  });

  test("what would be a second message is left out", async () => {
    const headers = [
      ...[said("x-a", "1\r\nx-evil: 1"), said("x b", "1"), said(":path", "/evil")],
      ...[said("host", "evil"), said("content-length", "9"), said("transfer-encoding", "x")],
    ];
    expect(await sent({ headers }, "GET /p")).toEqual(["GET /p"]);
  });

  test("and fields for whoever asked", async () => {
    const value = { responseHeadersToAdd: [said("x-a", "1"), said("x-b", "2", true)] };
    const { step } = await setUp({ ...yes, httpResponse: { case: "okResponse", value } });
    const answer = (await ask(step, accessRequest("GET /"))) as AccessPass;
    expect(answer.responseHeaders).toEqual([
      { name: "x-a", value: "1", operation: "replace" },
      { name: "x-b", value: "2", operation: "append" },
    ]);
  });
});

describe("no", () => {
  test("with no more than that", async () => {
    const { step } = await setUp({ status: { code: 7 } });
    expect(await ask(step, accessRequest("GET /"))).toMatchObject({
      ...{ at: "refused", status: 403, body: "", lines: "" },
      failure: { reason: "authorizer-denied", flag: "UAEX" },
    });
  });

  test("with an answer of its own", async () => {
    const value = {
      status: { code: 401 },
      headers: [
        said("www-authenticate", "x"),
        said("x-a", "1"),
        said("x-a", "2"),
        said("x", "a\nb"),
      ],
      body: "who are you?",
    };
    const { step } = await setUp({
      status: { code: 16 },
      httpResponse: { case: "deniedResponse", value },
    });
    expect(await ask(step, accessRequest("GET /"))).toMatchObject({
      ...{ status: 401, body: "who are you?" },
      lines: "www-authenticate: x\r\nx-a: 1\r\nx-a: 2\r\n",
    });
  });

  test.each([0, 99, 100, 600, -1])("a status of %i is none", async (code) => {
    const value = { status: { code } };
    const httpResponse = { case: "deniedResponse", value } as const;
    const { step } = await setUp({ status: { code: 7 }, httpResponse });
    expect(await ask(step, accessRequest("GET /"))).toMatchObject({ status: 403 });
  });

  test("denied is denied, whatever else is said", async () => {
    const httpResponse = { case: "okResponse", value: {} } as const;
    const { step } = await setUp({ status: { code: 7 }, httpResponse });
    expect(await ask(step, accessRequest("GET /"))).toMatchObject({ at: "refused", status: 403 });
  });
});

const faults: readonly (readonly [what: string, answer: Answer, reason: string | RegExp])[] = [
  ["with an error", 13, "it answered 13: not now"],
  ["with a refusal to answer", 7, "it answered 7: not now"],
  ["that it is away", 14, "not now"],
  ["what cannot be understood", new Uint8Array([0xff, 0xff]), "the answer is not understood"],
  ["never", "never", /^no answer within 50 ms$|does not answer$|Deadline exceeded$/],
];

test.each(faults)("who answers %s has judged nothing", async (_, answer, reason) => {
  const timeoutMs = answer === "never" ? 50 : 5_000;
  const { step, port } = await setUp(answer, { timeoutMs });
  expect(await ask(step, accessRequest("GET /"))).toMatchObject({
    ...{ at: "refused", failure: { reason: "authorizer-unanswered" } },
    by: { reason: typeof reason === "string" ? reason : expect.stringMatching(reason) },
  });
  const open = stepAt(port, { timeoutMs, failOpen: true });
  expect(await ask(open, accessRequest("GET /"))).toEqual({ at: "passed" });
});

test("who is away has judged nothing", async () => {
  const [port] = freePorts(1);
  const answer = (await ask(stepAt(port!), accessRequest("GET /"))) as AccessRefusal;
  expect(answer.by.reason).toBe("connection refused");
});

test("a denial with the status OK is a denial", () => {
  const httpResponse = { case: "deniedResponse", value: {} } as const;
  const message = toBinary(
    CheckResponseSchema,
    create(CheckResponseSchema, { ...yes, httpResponse }),
  );
  const answer = readCheckAnswer({ ok: true, message, header: () => undefined }, "/");
  expect(answer).toMatchObject({ at: "denied", status: 403 });
});

test("an answer cut at any offset, or damaged at any, throws nothing", () => {
  const value = { headers: [said("x-a", "1", true)], headersToRemove: ["x-b"] };
  const httpResponse = { case: "okResponse", value } as const;
  const init: ResponseInit = { ...yes, httpResponse };
  const bytes = toBinary(CheckResponseSchema, create(CheckResponseSchema, init));
  const read = (message: Uint8Array) =>
    readCheckAnswer({ ok: true, message, header: () => undefined }, "/");
  for (let at = 0; at < bytes.length; at++) {
    expect(["passed", "denied", "failed"]).toContain(read(bytes.subarray(0, at)).at);
    const damaged = bytes.slice();
    damaged[at]! ^= 0xff;
    expect(["passed", "denied", "failed"]).toContain(read(damaged).at);
  }
});
