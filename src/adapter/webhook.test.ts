/** Backends over HTTP: what they are asked, what their answers mean, and what no answer means. */
import { afterEach, expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import { instanceJson } from "../policy/instance-json.ts";
import { checkOk } from "../policy/result.ts";
import type { AnyInstance } from "../policy/template.ts";
import { adapterEnvironment, openRemote, problemsOf } from "../testing/adapter-environment.ts";
import { expectLinear } from "../testing/growth.ts";
import { opa } from "./opa.ts";
import { webhook } from "./webhook.ts";
import { readCheckAnswer, readQuotaAnswer } from "./webhook-answer.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const text = (value: string): TypedValue => ({ type: "STRING", value });

/** Undefined: never. */
function backend(answer: (body: unknown) => Response | undefined) {
  const asked: { path: string; body: unknown }[] = [];
  const server = Bun.serve({
    port: 0,
    fetch: async (request) => {
      const body = await request.json();
      asked.push({ path: new URL(request.url).pathname, body });
      return answer(body) ?? new Promise<Response>(() => {});
    },
  });
  closing.push(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}`, asked };
}

const entry: AnyInstance = { template: "listentry", name: "l", value: text('a "b"') };
const ask: AnyInstance = {
  template: "authorization",
  name: "a",
  subject: { user: "bob", properties: { age: { type: "INT64", value: 5 } } },
  action: { service: "reviews", method: "GET" },
};

test("an instance in JSON has the fields that it has", () => {
  expect(instanceJson(ask)).toBe(
    '{"name":"a","subject":{"user":"bob","properties":{"age":5}},' +
      '"action":{"service":"reviews","method":"GET"}}',
  );
  expect(instanceJson({ template: "checknothing", name: "n" })).toBe('{"name":"n"}');
  const timestamp = { seconds: 0, nanos: 0 };
  expect(instanceJson({ template: "apikey", name: "k", timestamp })).toBe(
    '{"name":"k","timestamp":"1970-01-01T00:00:00.000000Z"}',
  );
});

test("a webhook judges, grants and takes note", async () => {
  const { url, asked } = backend((body) => {
    const { template } = body as { template: string };
    if (template === "quota") return Response.json({ granted: 2, validDuration: "1.5s" });
    if (template === "metric") return new Response("thanks");
    const direct = { code: 302, headers: { location: "/login" } };
    return Response.json({ code: 7, message: "no", validDuration: "5s", validUseCount: 9, direct });
  });
  const handler = openRemote(webhook, { url });
  closing.push(() => handler.close());
  expect(await handler.check!(entry)).toEqual({
    code: 7,
    message: "no",
    validDurationMs: 5_000,
    validUseCount: 9,
    isFault: false,
    direct: { code: 302, body: "", headers: { location: "/login" } },
  });
  const request = { amount: 3, bestEffort: true, dedupId: "d", nowMs: 0 };
  expect(await handler.allocate!({ template: "quota", name: "q" }, request)).toEqual({
    granted: 2,
    validDurationMs: 1_500,
    code: 0,
    message: "",
  });
  expect(await handler.report!([{ template: "metric", name: "m", value: text("1") }])).toEqual([]);
  expect(asked.map(({ body }) => body)).toEqual([
    { template: "listentry", instance: { name: "l", value: 'a "b"' } },
    { template: "quota", instance: { name: "q" }, amount: 3, bestEffort: true, dedupId: "d" },
    { template: "metric", instances: [{ name: "m", value: "1" }] },
  ]);
});

test.each<[what: string, answer: () => Response, why: string]>([
  ["an error", () => new Response("", { status: 503 }), "answered 503"],
  ["no JSON", () => new Response("<html>"), "the answer is not understood"],
  ["a code that is none", () => Response.json({ code: 99 }), "the answer is not understood"],
  ["a misspelt field", () => Response.json({ cod: 7 }), "the answer is not understood"],
  ["a tower of brackets", () => new Response("[".repeat(200_000)), "the answer is not understood"],
  [
    "a map in a map in a map",
    () => new Response('{"a":'.repeat(40_000)),
    "the answer is not understood",
  ],
  ["too much", () => new Response("x".repeat(300_000)), "is longer than 262144 bytes"],
])("%s is a fault, not a denial", async (_, answer, why) => {
  const { url } = backend(answer);
  const handler = openRemote(webhook, { url });
  closing.push(() => handler.close());
  expect(await handler.check!(entry)).toMatchObject({
    isFault: true,
    code: 14,
    message: `webhook: ${why}`,
  });
});

test.each<[answer: unknown]>([
  [{ code: 7.5 }],
  [{ code: -1 }],
  [{ code: "7" }],
  [{ message: 5 }],
  [{ validDuration: 5 }],
  [{ validDuration: "-5s" }],
  [{ validUseCount: -1 }],
  [{ direct: { code: 600 } }],
  [{ direct: { body: 1 } }],
  [{ direct: { headers: { "a b": "c" } } }],
  [{ direct: { headers: { a: "b\r\nset-cookie: c" } } }],
  [{ direct: { headers: ["a"] } }],
  [{ direct: null }],
  [[]],
  [null],
  [7],
])("the answer %j is not understood", (answer) => {
  expect(readCheckAnswer(JSON.stringify(answer))).toBeUndefined();
});

test("an empty answer is OK, and says nothing about how long", () => {
  expect(readCheckAnswer("{}")).toEqual(checkOk);
  expect(readQuotaAnswer("{}")).toBeUndefined();
  expect(readQuotaAnswer('{"granted":-1}')).toBeUndefined();
  expect(readQuotaAnswer('{"granted":3}')).toMatchObject({ granted: 3, validDurationMs: 0 });
});

test("an answer is read in time in proportion, however it nests", () => {
  expectLinear((n) => {
    readCheckAnswer(`{"direct":${"[".repeat(n)}${"]".repeat(n)}}`);
  }, 5_000);
});

test("a backend that is late is a fault when its time is over", async () => {
  const { url, asked } = backend(() => undefined);
  const environment = adapterEnvironment();
  const handler = openRemote(webhook, { url, timeout: "2s" }, environment);
  closing.push(() => handler.close());
  const waiting = handler.check!(entry);
  while (asked.length === 0) await Bun.sleep(1);
  environment.clock.advance(2_000);
  expect(await waiting).toMatchObject({ isFault: true, message: "webhook: took too long" });
});

test("OPA is asked by the rule's name about subject and action", async () => {
  let result: unknown = true;
  const { url, asked } = backend(() => Response.json({ result }));
  const parameters = { serverUrl: url, checkMethod: "data.mixerauthz.allow" };
  const handler = openRemote(opa, parameters);
  closing.push(() => handler.close());
  expect(await handler.check!(ask)).toMatchObject({ code: 0, validDurationMs: 5_000 });
  expect(asked).toEqual([
    {
      path: "/v1/data/mixerauthz/allow",
      body: {
        input: {
          subject: { user: "bob", properties: { age: 5 } },
          action: { service: "reviews", method: "GET" },
        },
      },
    },
  ]);
  result = false;
  expect(await handler.check!(ask)).toMatchObject({
    code: 7,
    message: "opa: request was rejected",
    validUseCount: 1_000,
  });
});

test.each<[failClose: boolean, answer: () => Response, code: number]>([
  [true, () => Response.json({}), 7],
  [false, () => Response.json({}), 0],
  [true, () => Response.json({ result: "yes" }), 7],
  [true, () => new Response("", { status: 500 }), 7],
  [false, () => new Response("", { status: 500 }), 0],
])("failClose %p: what is neither true nor false has one use", async (failClose, answer, code) => {
  const { url } = backend(answer);
  const parameters = { serverUrl: `${url}/`, checkMethod: "data.a", failClose };
  const handler = openRemote(opa, parameters);
  closing.push(() => handler.close());
  expect(await handler.check!(ask)).toMatchObject({ code: code as 0, validUseCount: 1 });
});

test("parameters that cannot work", () => {
  expect(problemsOf(webhook, {})).toEqual(["url: must be given"]);
  expect(problemsOf(webhook, { url: "localhost" })).toEqual([
    'url: "localhost" is no http:// or grpc:// URL',
  ]);
  expect(problemsOf(opa, { checkMethod: "allow", policy: ["package x"] })).toEqual([
    'checkMethod: "allow" is no data.package.rule',
    "policy: is not run here (give it to an OPA server, and its serverUrl here)",
  ]);
});
