/** What callers of istio.mixer.v1 are answered, as the original's clients expect it. */
import { afterEach, expect, test } from "bun:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import {
  CheckRequestSchema,
  CheckResponseSchema,
  ReferencedAttributes_Condition as Condition,
  Mixer as MixerDesc,
  type ReferencedAttributes,
  ReportRequestSchema,
} from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import { ProxyConfigSchema } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import { serveUnary } from "../api/serve-unary.ts";
import { encodeAttributes, messageLimits } from "../attribute/attribute-message.ts";
import type { WireValue } from "../attribute/bag.ts";
import { globalWords } from "../attribute/global-dictionary.ts";
import { wordAt } from "../attribute/word-list.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { seededRandom } from "../core/random.ts";
import { freePorts } from "../testing/free-port.ts";
import {
  check,
  closing,
  configure,
  countRequests,
  entry,
  fault,
  metadata,
  metricsOf,
  mixerWith,
  noShedding,
  report,
} from "../testing/mixer-calls.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { Mixer } from "./mixer.ts";
import { monitorFetch } from "./monitor.ts";

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const text = (value: string): WireValue => ({ type: "STRING", value });
const user = (name: string) => entry(name, undefined);

/** "+source.user", "-request.headers[cookie]" */
function referenced(message: ReferencedAttributes | undefined): string[] {
  const lists = { words: message?.words ?? [], global: globalWords };
  return (message?.attributeMatches ?? [])
    .map(({ name, condition, mapKey }) => {
      const key = mapKey === 0 ? "" : `[${wordAt(lists, mapKey)}]`;
      return `${condition === Condition.EXACT ? "+" : "-"}${wordAt(lists, name)}${key}`;
    })
    .sort();
}

const denyBob = `
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: deny, namespace: istio-system }
spec:
  compiledAdapter: denier
  params: { status: { code: 7, message: not you }, validDuration: 20s, validUseCount: 50 }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: nothing, namespace: istio-system }
spec: { compiledTemplate: checknothing }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-bob, namespace: istio-system }
spec:
  match: source.user == "bob" && (request.headers["x-open"] | "no") != "yes"
  actions: [{ handler: deny, instances: [nothing] }]
`;

const limit = `
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: memory, namespace: istio-system }
spec:
  compiledAdapter: memquota
  params:
    quotas: [{ name: requestcount.instance.istio-system, maxAmount: 5, validDuration: 10s }]
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: requestcount, namespace: istio-system }
spec: { compiledTemplate: quota, params: { dimensions: { user: source.user | "nobody" } } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: limit, namespace: istio-system }
spec: { actions: [{ handler: memory, instances: [requestcount] }] }
`;

test("without rules all is allowed, for a minute and 10,000 uses", async () => {
  const { mixer } = mixerWith("");
  const { precondition, quotas } = await check(mixer, { attributes: user("bob") });
  expect(precondition).toMatchObject({
    status: { code: 0, message: "" },
    validDuration: { seconds: 60n, nanos: 0 },
    validUseCount: 10_000,
  });
  expect(precondition?.routeDirective).toBeUndefined();
  expect(quotas).toEqual({});
});

test("a denial is an answer, with what it depends on, and for how long", async () => {
  const { mixer } = mixerWith(denyBob);
  const { precondition } = await check(mixer, { attributes: user("bob"), globalWordCount: 222 });
  expect(precondition).toMatchObject({
    status: { code: 7, message: "deny.handler.istio-system:not you" },
    validDuration: { seconds: 20n },
    validUseCount: 50,
  });
  expect(referenced(precondition?.referencedAttributes)).toEqual([
    "+source.user",
    "-request.headers",
  ]);
  const open = encodeAttributes([
    ["source.user", text("bob")],
    ["request.headers", { type: "STRING_MAP", value: new Map([["x-open", "yes"]]) }],
  ]);
  const allowed = await check(mixer, { attributes: open, globalWordCount: 222 });
  expect(allowed.precondition?.status?.code).toBe(0);
  expect(referenced(allowed.precondition?.referencedAttributes)).toContain(
    "+request.headers[x-open]",
  );
});

test("whose rules apply is among it only where some namespace has its own", async () => {
  const { mixer } = mixerWith(`${denyBob}---${limit.replaceAll("istio-system", "default")}`);
  const { precondition } = await check(mixer, { attributes: user("bob"), globalWordCount: 222 });
  expect(referenced(precondition?.referencedAttributes)).toEqual(
    [
      ...["-context.reporter.kind", "-destination.namespace", "-request.headers", "+source.user"],
    ].sort(),
  );
});

test("references are words that the caller knows", async () => {
  const { mixer } = mixerWith(`${denyBob}---${limit.replaceAll("istio-system", "default")}`);
  const { precondition } = await check(mixer, { attributes: user("bob"), globalWordCount: 111 });
  const message = precondition?.referencedAttributes;
  expect(message?.attributeMatches.every(({ name }) => name < 111)).toBe(true);
  expect(message?.words).toContain("destination.namespace");
  expect(message?.words).not.toContain("source.user");
});

test("a caller that knows more words than we is told so in words that it waits for", async () => {
  const { mixer } = mixerWith("");
  const words =
    "inconsistent global dictionary versions used: mixer knows 222 words, caller knows 223";
  const call = metadata().call;
  const request = { globalWordCount: 223 };
  expect(await fault(check(mixer, request))).toEqual([Code.Internal, words]);
  const report = create(ReportRequestSchema, { ...request, attributes: [user("a")] });
  expect(await fault(mixer.report(report, call))).toEqual([Code.Internal, words]);
});

test("quotas: granted, in part, exhausted; the same question has the same answer", async () => {
  const { mixer } = mixerWith(limit);
  const ask = async (amount: number, bestEffort: boolean, deduplicationId: string) => {
    const quotas = { RequestCount: { amount: BigInt(amount), bestEffort } };
    const answer = await check(mixer, { attributes: user("a"), deduplicationId, quotas });
    const { grantedAmount, validDuration, status } = answer.quotas.RequestCount!;
    return [Number(grantedAmount), Number(validDuration?.seconds ?? 0), status?.code];
  };
  expect(await ask(3, false, "1")).toEqual([3, 10, 0]);
  expect(await ask(3, false, "1")).toEqual([3, 10, 0]);
  expect((await ask(4, false, "2")).slice(0, 2)).toEqual([0, 0]);
  expect(await ask(4, true, "3")).toEqual([2, 10, 0]);
  expect((await ask(1, true, "4"))[0]).toBe(0);
});

test("a refused quota says in its metadata when there will be enough again", async () => {
  const { mixer } = mixerWith(limit);
  const ask = async (amount: number): Promise<string | undefined> => {
    const { call, sent } = metadata();
    const quotas = { requestcount: { amount: BigInt(amount), bestEffort: false } };
    await mixer.check(create(CheckRequestSchema, { attributes: user("a"), quotas }), call);
    return sent.get("mesh-retry-after-ms");
  };
  expect([await ask(5), await ask(1), await ask(6)]).toEqual([undefined, "10000", undefined]);
});

test("a quota that nobody limits is granted as it was asked for", async () => {
  const { mixer } = mixerWith("");
  const quotas = { Unheard: { amount: 7n, bestEffort: false } };
  const answer = await check(mixer, { quotas });
  expect(answer.quotas.Unheard).toMatchObject({
    grantedAmount: 7n,
    validDuration: { seconds: 60n },
  });
});

test("a quota's references are its own, and none is asked for once the answer is no", async () => {
  const looksFurther = denyBob.replace("match: ", 'match: (request.path | "/") == "/" && ');
  const { mixer } = mixerWith(`${looksFurther}---${limit}`);
  const quotas = { RequestCount: { amount: 1n, bestEffort: false } };
  const ask = (name: string) =>
    check(mixer, { attributes: user(name), quotas, globalWordCount: 222 });
  const allowed = await ask("alice");
  expect(referenced(allowed.precondition?.referencedAttributes)).toContain("-request.path");
  expect(referenced(allowed.quotas.RequestCount?.referencedAttributes)).toEqual(["+source.user"]);
  const denied = await ask("bob");
  expect(denied.quotas).toEqual({});
});

test("what depends on a map as a whole cannot be named, and is good for this once", async () => {
  const { mixer } = mixerWith(`
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: labels, namespace: istio-system }
spec:
  actions:
  - handler: { compiledAdapter: listchecker, params: { overrides: [app=a] } }
    instances: [{ compiledTemplate: listentry, params: { value: source.labels } }]
`);
  const labels: WireValue = { type: "STRING_MAP", value: new Map([["app", "a"]]) };
  const attributes = encodeAttributes([["source.labels", labels]]);
  const { precondition } = await check(mixer, { attributes });
  expect([precondition?.status?.code, precondition?.validUseCount]).toEqual([0, 0]);
});

test("a limit whose Redis is away is exhausted if it fails closed", async () => {
  const [port] = freePorts(1);
  const { mixer } = mixerWith(`
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: limit, namespace: istio-system }
spec:
  actions:
  - handler: redis
    instances: [calls]
---
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: redis, namespace: istio-system }
spec:
  compiledAdapter: redisquota
  params:
    redisServerUrl: 127.0.0.1:${port}
    quotas: [{ name: calls.instance.istio-system, maxAmount: 5, validDuration: 1s }]
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: calls, namespace: istio-system }
spec: { compiledTemplate: quota, params: { dimensions: {} } }
`);
  const quotas = { calls: { amount: 1n, bestEffort: true } };
  const answer = await check(mixer, { quotas });
  expect(answer.quotas.calls).toMatchObject({ grantedAmount: 0n, status: { code: 8 } });
});

test("a caller asks for 100 quotas at most", async () => {
  const { mixer } = mixerWith("");
  const quotas = Object.fromEntries(
    Array.from({ length: 101 }, (_, i) => [`q${i}`, { amount: 1n, bestEffort: false }]),
  );
  expect(await fault(check(mixer, { quotas }))).toEqual([
    Code.InvalidArgument,
    "at most 100 quotas can be asked for",
  ]);
});

test("what cannot be decoded reads as absent, and is counted", async () => {
  const { mixer } = mixerWith("");
  const attributes = { strings: { 6: -9 }, int64s: { "-3": 1n } };
  const answer = await check(mixer, { attributes });
  expect(answer.precondition?.status?.code).toBe(0);
  expect(await metricsOf(mixer)).toContain('mixer_undecodable_total{reason="unknown-word"} 2');
});

test.each<[what: string, request: MessageInitShape<typeof CheckRequestSchema>]>([
  ["words", { attributes: { words: new Array<string>(messageLimits.words + 1).fill("") } }],
  [
    "attributes",
    {
      attributes: {
        bools: Object.fromEntries(
          Array.from({ length: messageLimits.attributes + 1 }, (_, i) => [i, true]),
        ),
      },
    },
  ],
])("too many %s are refused", async (what, request) => {
  const { mixer } = mixerWith("");
  const refused = [Code.InvalidArgument, `too-many-${what}`];
  expect(await fault(check(mixer, request))).toEqual(refused);
});

test("too much at a time is refused; a report costs as much as it has entries", async () => {
  const { mixer } = mixerWith("", { mode: "enforce", requestsPerSecond: 10, burst: 10 });
  await report(mixer, { attributes: new Array<object>(8).fill({}) });
  await check(mixer, {});
  await check(mixer, {});
  const refused = [Code.Unavailable, "Server is currently overloaded. Please try again."];
  expect(await fault(check(mixer, {}))).toEqual(refused);
  expect(await metricsOf(mixer)).toContain(
    'mixer_loadshedding_requests_throttled_total{reason="rate"} 1',
  );
});

test("another policy is another version, which answers say; the same one is not", async () => {
  const { mixer } = mixerWith(denyBob);
  const version = async (): Promise<string | undefined> => {
    const { call, sent } = metadata();
    await mixer.check(create(CheckRequestSchema), call);
    return sent.get("mesh-policy-version");
  };
  const first = await version();
  configure(mixer, denyBob);
  expect(await version()).toBe(first!);
  configure(mixer, limit);
  expect(await version()).not.toBe(first!);
  expect(await version()).not.toBe(await (async () => mixerVersion(""))());
});

async function mixerVersion(rules: string): Promise<string | undefined> {
  const { call, sent } = metadata();
  await mixerWith(rules).mixer.check(create(CheckRequestSchema), call);
  return sent.get("mesh-policy-version");
}

test("an object that is broken stays in its last good form, beside what is new", async () => {
  const { mixer } = mixerWith(denyBob);
  configure(mixer, `${denyBob.replace("code: 7", "cod: 7")}---${countRequests}`);
  const denied = await check(mixer, { attributes: user("bob") });
  expect(denied.precondition?.status?.code).toBe(7);
  await report(mixer, { attributes: [entry("a", 1)] });
  expect(await metricsOf(mixer)).toContain('istio_requests_total{user="a"} 1');
});

test("what a proxy of ours answers in place is not asked again", async () => {
  const { mixer } = mixerWith(denyBob);
  const request = create(CheckRequestSchema, { attributes: user("bob") });
  const { precondition } = await mixer.check(request, metadata({ "mesh-remote-only": "1" }).call);
  expect(precondition?.status?.code).toBe(0);
});

test("ready once there is a policy, which may be none", async () => {
  const mixer = new Mixer({
    ...{ clock: new VirtualClock(), random: seededRandom(1), shedding: noShedding },
    log: new Log("test", { level: "error" }, () => {}),
  });
  closing.push(() => mixer.close());
  const ready = async () => {
    return (await monitorFetch(mixer)(new Request("http://localhost/ready"))).status;
  };
  expect(await ready()).toBe(503);
  mixer.configure(create(ProxyConfigSchema));
  expect(await ready()).toBe(200);
});

/** Bytes that the original's generated code made, with what it answers by default. */
const recorded = {
  request:
    "0a7b0a094a57542d546f6b656e1205080410fe011205080c10ca011a04080210231a05081010903f220c089c0119" +
    "9a99999999f958402a05088e011001320508880212003a06083a12020805421c08001218746578742f68746d6c3b" +
    "20636861727365743d7574662d384a11081e120d0a04086410010a05087410d00110de011a0a6530633763326335" +
    "2d3122140a0c52657175657374436f756e74120408051001",
  precondition: { status: "", validDuration: "083c", validUseCount: 10_000 },
};

test("an original client's bytes over gRPC are answered as the original did", async () => {
  const { mixer } = mixerWith("", {}, systemClock as never);
  const server = await serveUnary({
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, methods: mixer.methods },
    ...{ messageBytesMax: 1 << 20, heldBytesMax: 8 << 20, callsMax: 100 },
    fetch: () => new Response(null, { status: 404 }),
  });
  closing.push(() => server.close());
  const client = new grpc.Client(`127.0.0.1:${server.port}`, grpc.credentials.createInsecure());
  closing.push(() => client.close());
  const bytes = await new Promise<Uint8Array>((resolve, reject) => {
    client.makeUnaryRequest(
      "/istio.mixer.v1.Mixer/Check",
      (hex: string) => Buffer.from(hex, "hex"),
      (answer) => answer,
      recorded.request,
      (error, answer) => (error === null ? resolve(answer!) : reject(error)),
    );
  });
  const answer = fromBinary(CheckResponseSchema, bytes);
  expect(answer.precondition).toMatchObject({
    status: { code: 0, message: "", details: [] },
    validDuration: { seconds: 60n, nanos: 0 },
    validUseCount: 10_000,
  });
  expect(answer.quotas.RequestCount?.grantedAmount).toBe(5n);
  // All of it that has no counterpart in the rules is as it was recorded.
  answer.precondition!.referencedAttributes!.attributeMatches = [];
  answer.precondition!.referencedAttributes!.words = [];
  answer.quotas = {};
  expect(toBinary(CheckResponseSchema, answer).toHex()).toBe("120b0a001202083c18904e2a00");
});

test("the service is found over the library's transport as well", async () => {
  const { mixer } = mixerWith(denyBob, {}, systemClock as never);
  const server = await serveUnary({
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, methods: mixer.methods },
    ...{ messageBytesMax: 1 << 20, heldBytesMax: 8 << 20, callsMax: 100 },
    fetch: () => new Response(null, { status: 404 }),
  });
  closing.push(() => server.close());
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.port}` });
  const client = createClient(MixerDesc, transport);
  const denied = await client.check({ attributes: user("bob") });
  expect(denied.precondition?.status?.code).toBe(7);
  const unknown = await client
    .report({ attributes: [{}, { strings: { 6: -7 } }] })
    .catch((thrown) => ConnectError.from(thrown).code);
  expect(unknown).toBe(Code.Unknown);
});
