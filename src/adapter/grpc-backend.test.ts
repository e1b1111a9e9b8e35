/** Backends over gRPC: what they are asked, what they answer, and what is no answer. */
import { afterEach, expect, test } from "bun:test";
import { createServer as createTcpServer } from "node:net";
import {
  create,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import {
  CheckResultSchema,
  QuotaResultSchema,
  ReportResultSchema,
} from "../api/gen/istio/mixer/adapter/model/v1beta1/model_pb.ts";
import { HandleAuthorizationService } from "../api/gen/istio/mixer/template/authorization_pb.ts";
import { HandleCheckNothingService } from "../api/gen/istio/mixer/template/checknothing_pb.ts";
import { HandleEdgeService } from "../api/gen/istio/mixer/template/edge_pb.ts";
import {
  HandleListEntryRequestSchema,
  HandleListEntryService,
} from "../api/gen/istio/mixer/template/listentry_pb.ts";
import { HandleMetricService } from "../api/gen/istio/mixer/template/metric_pb.ts";
import { HandleQuotaService } from "../api/gen/istio/mixer/template/quota_pb.ts";
import { HandleTraceSpanService } from "../api/gen/istio/mixer/template/tracespan_pb.ts";
import { readParameters } from "../policy/read-parameters.ts";
import { checkOk } from "../policy/result.ts";
import { type AnyInstance, templates } from "../policy/template.ts";
import { adapterEnvironment, openRemote, problemsOf } from "../testing/adapter-environment.ts";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { expectLinear } from "../testing/growth.ts";
import { entry as attributes, check, closing, mixerWith } from "../testing/mixer-calls.ts";
import { readCheckResult, readQuotaResult, readReportResult } from "./backend-answer.ts";
import { GrpcBackend, parseGrpcUrl } from "./grpc-backend.ts";
import { instanceInit } from "./instance-message.ts";
import { webhook } from "./webhook.ts";

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const services: readonly DescService[] = [
  HandleAuthorizationService,
  HandleCheckNothingService,
  HandleEdgeService,
  HandleListEntryService,
  HandleMetricService,
  HandleQuotaService,
  HandleTraceSpanService,
];

/** In JSON, without the identity that every call has. */
interface Asked {
  readonly path: string;
  readonly request: unknown;
  readonly dedupId: string;
  readonly metadata: grpc.Metadata;
  readonly deadline: grpc.Deadline;
}

type Answer = Uint8Array | { readonly code: number; readonly details: string } | "never";

async function backend(
  answer: (path: string) => Answer,
  credentials = grpc.ServerCredentials.createInsecure(),
) {
  const asked: Asked[] = [];
  const server = new grpc.Server();
  for (const { typeName, methods } of services)
    for (const { name, input } of methods) {
      const path = `/${typeName}/${name}`;
      const definition = {
        ...{ path, requestStream: false, responseStream: false, originalName: name },
        requestSerialize: () => Buffer.alloc(0),
        requestDeserialize: (bytes: Buffer) => toJson(input, fromBinary(input, bytes)),
        responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
        responseDeserialize: (bytes: Buffer) => bytes,
      };
      const handle: grpc.handleUnaryCall<object, Uint8Array> = (call, reply) => {
        const { dedupId, ...request } = call.request as { dedupId: string };
        const { metadata } = call;
        asked.push({ path, request, dedupId, metadata, deadline: call.getDeadline() });
        const answered = answer(path);
        if (answered === "never") return;
        if (answered instanceof Uint8Array) reply(null, answered);
        else reply(answered);
      };
      server.addService({ [name]: definition } as grpc.ServiceDefinition, { [name]: handle });
    }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  closing.push(() => server.forceShutdown());
  return { address: `127.0.0.1:${port}`, url: `grpc://127.0.0.1:${port}`, asked };
}

function open(parameters: object, environment = adapterEnvironment()) {
  const handler = openRemote(webhook, parameters, environment);
  closing.push(() => handler.close());
  return handler;
}

function bytesOf<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Uint8Array {
  return toBinary(schema, create(schema, init));
}

const entry: AnyInstance = {
  template: "listentry",
  name: "l.listentry.default",
  value: { type: "IP_ADDRESS", value: new Uint8Array([10, 0, 0, 1]) },
};

const denied = bytesOf(CheckResultSchema, {
  status: { code: 7, message: "no" },
  validDuration: { seconds: 5n, nanos: 500_000 },
  validUseCount: 9,
});

test("a check has its instance, and a denial is a status in the answer", async () => {
  const { url, asked } = await backend(() => denied);
  const handler = open({ url, headers: { "X-Team": "blue" } });
  expect(await handler.check!(entry)).toEqual({
    ...{ code: 7, message: "no", validDurationMs: 5_000.5, validUseCount: 9, isFault: false },
  });
  await handler.check!({ template: "checknothing", name: "n" });
  await handler.check!({
    template: "authorization",
    name: "a",
    subject: { user: "bob", properties: { age: { type: "INT64", value: 2n ** 62n } } },
    action: { service: "reviews", path: "/1" },
  });
  expect(asked.map(({ path, request }) => ({ path, request }))).toEqual([
    {
      path: "/listentry.HandleListEntryService/HandleListEntry",
      request: {
        instance: { name: "l.listentry.default", value: { ipAddressValue: { value: "CgAAAQ==" } } },
      },
    },
    {
      path: "/checknothing.HandleCheckNothingService/HandleCheckNothing",
      request: { instance: { name: "n" } },
    },
    {
      path: "/authorization.HandleAuthorizationService/HandleAuthorization",
      request: {
        instance: {
          name: "a",
          subject: { user: "bob", properties: { age: { int64Value: "4611686018427387904" } } },
          action: { service: "reviews", path: "/1" },
        },
      },
    },
  ]);
  expect(asked[0]!.metadata.get("x-team")).toEqual(["blue"]);
  expect(new Set(asked.map(({ dedupId }) => dedupId)).size).toBe(3);
});

test("a quota is asked for by its instance's name", async () => {
  const answer = { q: { grantedAmount: 2n, validDuration: { seconds: 1n } } };
  const { url, asked } = await backend(() => bytesOf(QuotaResultSchema, { quotas: answer }));
  const handler = open({ url });
  const quota: AnyInstance = {
    ...{ template: "quota", name: "q" },
    dimensions: { user: { type: "STRING", value: "bob" } },
  };
  const request = { amount: 3, bestEffort: true, dedupId: "d", nowMs: 0 };
  expect(await handler.allocate!(quota, request)).toEqual({
    ...{ granted: 2, validDurationMs: 1_000, code: 0, message: "" },
  });
  expect(asked).toMatchObject([
    {
      path: "/quota.HandleQuotaService/HandleQuota",
      dedupId: "d",
      request: {
        instance: { name: "q", dimensions: { user: { stringValue: "bob" } } },
        quotaRequest: { quotas: { q: { amount: "3", bestEffort: true } } },
      },
    },
  ]);
  const other = await handler.allocate!({ template: "quota", name: "r" }, request);
  expect(other).toMatchObject({
    ...{ granted: 0, code: 14, message: "webhook: the answer is not understood" },
  });
});

test("a report has all instances of its template", async () => {
  const { url, asked } = await backend(() => bytesOf(ReportResultSchema, {}));
  const handler = open({ url });
  const instances: readonly AnyInstance[] = [
    { template: "metric", name: "m", value: { type: "DOUBLE", value: 1.5 } },
    { template: "metric", name: "n", value: { type: "DURATION", value: -1_500_000_000 } },
  ];
  expect(await handler.report!(instances)).toEqual([]);
  expect(await handler.report!([])).toEqual([]);
  const at = { seconds: 1, nanos: 500_000_000 };
  await handler.report!([
    { template: "tracespan", name: "t", startTime: at, httpStatusCode: 200, clientSpan: true },
  ]);
  await handler.report!([{ template: "edge", name: "e", destinationServiceName: "reviews" }]);
  expect(asked.map(({ request }) => request)).toEqual([
    {
      instances: [
        { name: "m", value: { doubleValue: 1.5 } },
        { name: "n", value: { durationValue: { value: "-1.500s" } } },
      ],
    },
    {
      instances: [
        {
          ...{ name: "t", httpStatusCode: "200", clientSpan: true },
          startTime: { value: "1970-01-01T00:00:01.500Z" },
        },
      ],
    },
    { instances: [{ name: "e", destinationServiceName: "reviews" }] },
  ]);
});

test.each<[what: string, answer: Answer, why: string]>([
  ["an error", { code: 7, details: "not you" }, "answered 7: not you"],
  ["a method that is not there", { code: 12, details: "what?" }, "answered 12: what?"],
  ["one that says it is away", { code: 14, details: "later" }, "later"],
  ["no message of ours", new Uint8Array([0xff, 0xff]), "the answer is not understood"],
  ["too much", new Uint8Array(300_000), "answered 8: the answer is too long"],
])("%s is a fault, not a denial", async (_, answer, why) => {
  const { url } = await backend(() => answer);
  const environment = adapterEnvironment();
  const handler = open({ url }, environment);
  const message = `webhook: ${why}`;
  expect(await handler.check!(entry)).toMatchObject({ isFault: true, code: 14, message });
  const metric: AnyInstance = { template: "metric", name: "m" };
  expect(await handler.report!([metric])).toEqual([message]);
  const { families } = environment.registry.view();
  expect(families.map(({ name }) => name)).toContain("mesh_webhook_failed_total");
});

test("a backend that is late is a fault when its time is over", async () => {
  const { url, asked } = await backend(() => "never");
  const environment = adapterEnvironment();
  const handler = open({ url, timeout: "2s" }, environment);
  const waiting = handler.check!(entry);
  while (asked.length === 0) await Bun.sleep(1);
  expect(Number(asked[0]!.deadline) - Date.now()).toBeWithin(1, 2_001);
  environment.clock.advance(2_100);
  expect(await waiting).toMatchObject({
    ...{ isFault: true, message: "webhook: the server does not answer" },
  });
});

test("who waits when the handler is closed is told so", async () => {
  const { url, asked } = await backend(() => "never");
  const handler = open({ url });
  const waiting = handler.check!(entry);
  while (asked.length === 0) await Bun.sleep(1);
  handler.close();
  const message = "webhook: the handler is closed";
  expect(await waiting).toMatchObject({ isFault: true, message });
  const closed = { isFault: true, message: "webhook: the client is closed" };
  expect(await handler.check!(entry)).toMatchObject(closed);
});

test("a server that is away, and one that speaks something else", async () => {
  const away = open({ url: "grpc://127.0.0.1:1" });
  expect(await away.check!(entry)).toMatchObject({
    ...{ isFault: true, message: "webhook: connection refused" },
  });
  const server = createTcpServer((socket) => socket.end("220 mail.example ESMTP\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => void server.close());
  const { port } = server.address() as { port: number };
  const garbled = await open({ url: `grpc://127.0.0.1:${port}` }).check!(entry);
  expect(garbled).toMatchObject({ isFault: true, code: 14 });
  expect(garbled.message).toStartWith("webhook: the server does not speak HTTP/2");
});

test("over TLS a server has to be who it is called", async () => {
  const authority = new CertificateAuthority();
  const { chain, key } = authority.issue({ name: "x", for: ["IP:127.0.0.1"] });
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(chain) };
  const secure = grpc.ServerCredentials.createSsl(null, [pair]);
  const { address, asked } = await backend(() => denied, secure);
  expect(await open({ url: `grpcs://${address}` }).check!(entry)).toMatchObject({
    ...{ isFault: true, message: "webhook: the server's certificate is not trusted" },
  });
  expect(asked).toEqual([]);
  const roots = { trust: { file: "roots", pem: authority.certificate, count: 1 } };
  const { port } = parseGrpcUrl(`grpcs://${address}`)!;
  const secured = (hostname: string) => {
    const to = { hostname, port, isSecure: true };
    const parameters = { address: to, roots, timeoutMs: 1_000, headers: {} };
    const handler = new GrpcBackend(parameters, adapterEnvironment());
    closing.push(() => handler.close());
    return handler;
  };
  expect(await secured("127.0.0.1").check(entry)).toMatchObject({ code: 7, isFault: false });
  expect(await secured("localhost").check(entry)).toMatchObject({
    ...{ isFault: true, message: "webhook: the server's certificate is of somebody else" },
  });
});

test("the handler's connection says where, as it did for adapters out of process", async () => {
  const { address, asked } = await backend(() => denied);
  const opened = (connection: { address: string; timeoutMs: number }, text = "{}") =>
    readParameters(webhook, text, { connection });
  for (const written of [address, `grpc://${address}`]) {
    const { configured } = opened({ address: written, timeoutMs: 0 });
    if (configured?.runsAt !== "mixer") throw new Error("is no webhook");
    const handler = configured.open(adapterEnvironment());
    closing.push(() => handler.close());
    expect(await handler.check!(entry)).toMatchObject({ code: 7 });
  }
  expect(asked).toHaveLength(2);
  const problem = (found: ReturnType<typeof opened>) => found.problems.map((p) => p.message);
  expect(problem(opened({ address: "over there", timeoutMs: 0 }))).toEqual([
    'the connection\'s address "over there" is no host:port, http:// or grpc:// URL',
  ]);
  expect(problem(opened({ address, timeoutMs: 0 }, `url: grpc://${address}`))).toEqual([
    "is what the handler's connection says: leave one of them out",
  ]);
});

test("rules ask it by way of its handler's connection, whose limit is that of a call", async () => {
  const { address, asked } = await backend(() => denied);
  const { mixer } = mixerWith(`
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: mine, namespace: istio-system }
spec: { adapter: webhook, connection: { address: "${address}", timeout: 7s } }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: who, namespace: istio-system }
spec: { compiledTemplate: listentry, params: { value: source.user | "nobody" } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: r, namespace: istio-system }
spec: { actions: [{ handler: mine, instances: [who] }] }
`);
  const { precondition } = await check(mixer, { attributes: attributes("bob", undefined) });
  expect(precondition?.status).toMatchObject({ code: 7 });
  expect(asked).toMatchObject([{ request: { instance: { value: { stringValue: "bob" } } } }]);
  expect(Number(asked[0]!.deadline) - Date.now()).toBeWithin(2_000, 7_001);
});

test("parameters that cannot work", () => {
  for (const url of ["grpc://a", "grpc://:80", "grpc://a:0", "grpc://a:1/x", "grpc://u@a:1"])
    expect(problemsOf(webhook, { url })).toEqual([`url: "${url}" is no http:// or grpc:// URL`]);
  for (const name of ["Host", "grpc-status", "a b", "te"])
    expect(problemsOf(webhook, { url: "grpc://a:1", headers: { [name]: "x" } })).toEqual([
      `headers: "${name}" cannot be sent with a call`,
    ]);
  expect(problemsOf(webhook, { url: "grpc://a:1", headers: { a: "b\r\nc: d" } })).toHaveLength(1);
  expect(parseGrpcUrl("GRPCS://[::1]:9")).toEqual({ hostname: "::1", port: 9, isSecure: true });
});

test("a value of each type has its case", () => {
  const init = instanceInit({
    ...{ template: "metric", name: "m" },
    dimensions: {
      text: { type: "STRING", value: "a\udcff" },
      yes: { type: "BOOL", value: false },
      when: { type: "TIMESTAMP", value: { seconds: -1, nanos: 5 } },
      mail: { type: "EMAIL_ADDRESS", value: "a@b" },
      host: { type: "DNS_NAME", value: "a.b" },
      uri: { type: "URI", value: "x:y" },
      map: { type: "STRING_MAP", value: new Map([["k", "v"]]) },
    },
  });
  expect(init).toEqual({
    name: "m",
    dimensions: {
      text: { value: { case: "stringValue", value: "a\ufffd" } },
      yes: { value: { case: "boolValue", value: false } },
      when: { value: { case: "timestampValue", value: { value: { seconds: -1n, nanos: 5 } } } },
      mail: { value: { case: "emailAddressValue", value: { value: "a@b" } } },
      host: { value: { case: "dnsNameValue", value: { value: "a.b" } } },
      uri: { value: { case: "uriValue", value: { value: "x:y" } } },
      map: { value: { case: "stringMapValue", value: { value: { k: "v" } } } },
    },
  });
});

test("every field of a template is one of its message, and the octets are Istio's", () => {
  for (const service of services) {
    const name = service.typeName.split(".")[0] as keyof typeof templates;
    const request = service.methods[0]!.input.fields[0]!;
    const fields = request.message!.fields.map(({ localName }) => localName);
    expect([name, ...fields].sort()).toEqual(
      [name, "name", ...Object.keys(templates[name].fields)].sort(),
    );
  }
  const message = { instance: instanceInit({ ...entry, name: "l" }), dedupId: "d" };
  const octets = Buffer.from(bytesOf(HandleListEntryRequestSchema, message)).toString("hex");
  expect(octets).toBe("0a11" + "0a08" + "2a06" + "0a040a000001" + "fad2e49302" + "016c" + "1a0164");
});

test.each<[what: string, answer: MessageInitShape<typeof CheckResultSchema>]>([
  ["a code above all", { status: { code: 17 } }],
  ["a code below all", { status: { code: -1 } }],
  ["a negative time", { validDuration: { seconds: -1n } }],
  ["negative nanoseconds", { validDuration: { nanos: -1 } }],
  ["a second of nanoseconds", { validDuration: { nanos: 1_000_000_000 } }],
  ["more than ten thousand years", { validDuration: { seconds: 315_576_000_001n } }],
  ["a negative count", { validUseCount: -1 }],
])("%s is not understood", (_, answer) => {
  expect(readCheckResult(bytesOf(CheckResultSchema, answer))).toBeUndefined();
});

test("an empty answer is OK to a check and a report, and none to a quota", () => {
  const empty = new Uint8Array(0);
  expect(readCheckResult(empty)).toEqual(checkOk);
  const fine = bytesOf(CheckResultSchema, { status: { message: "fine" } });
  expect(readCheckResult(fine)).toEqual(checkOk);
  expect(readReportResult(empty)).toEqual([]);
  expect(readQuotaResult(empty, "q")).toBeUndefined();
  expect(readQuotaResult(empty, "constructor")).toBeUndefined();
  const quota = (grantedAmount: bigint) =>
    readQuotaResult(bytesOf(QuotaResultSchema, { quotas: { q: { grantedAmount } } }), "q");
  expect(quota(0n)).toMatchObject({ granted: 0, code: 0 });
  expect(quota(-1n)).toBeUndefined();
  expect(quota(2n ** 60n)).toBeUndefined();
});

test("an answer that is cut or has an octet changed is read or is not: nothing is thrown", () => {
  for (let at = 0; at < denied.length; at++) {
    readCheckResult(denied.subarray(0, at));
    readQuotaResult(denied.subarray(0, at), "q");
    for (const octet of [0, 0x0b, 0x7f, 0x80, 0xff]) readCheckResult(denied.with(at, octet));
  }
});

test("an answer is read in time in proportion", () => {
  // Groups within groups, which no message of ours has.
  expectLinear((n) => {
    readCheckResult(new Uint8Array(n).fill(0x23));
  }, 5_000);
});
