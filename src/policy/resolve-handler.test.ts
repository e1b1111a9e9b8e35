/** Whether an opened handler may be kept, with its counters, when policy changes. */
import { describe, expect, test } from "bun:test";
import { resolveSample } from "../testing/policy-sample.ts";
import type { ResolvedHandler } from "./resolved-policy.ts";

interface Written {
  readonly adapter?: string;
  readonly params?: string;
  readonly more?: string;
  readonly dimensions?: string;
  readonly instances?: string;
}

function handlerOf(written: Written): ResolvedHandler {
  const {
    adapter = "limits",
    params = "{ a: 1 }",
    more = "",
    dimensions = "{ a: source.name }",
    instances = "requests",
  } = written;
  const { policy, problems } = resolveSample(`
kind: handler
metadata: { name: h }
spec: { compiledAdapter: ${adapter}, params: ${params} ${more} }
---
kind: instance
metadata: { name: requests }
spec: { compiledTemplate: quota, params: { dimensions: ${dimensions} } }
---
kind: instance
metadata: { name: others }
spec: { compiledTemplate: quota }
---
kind: rule
metadata: { name: r }
spec: { actions: [{ handler: h, instances: [${instances}] }] }
`);
  expect(problems).toEqual([]);
  return policy.handlers[0]!;
}

describe("an opened handler", () => {
  const { signature } = handlerOf({});
  const kept: readonly (readonly [string, Written])[] = [
    ["nothing of it changes", {}],
    ["what is told in a dimension changes", { dimensions: "{ a: request.path }" }],
    ["who decides when it fails changes", { more: ", failPolicy: open" }],
    ["its limit of time changes", { more: ", timeout: 5s" }],
  ];
  test.each(kept)("is kept where %s", (_, written) => {
    expect(handlerOf(written).signature).toBe(signature);
  });

  const changed: readonly (readonly [string, Written])[] = [
    ["its adapter", { adapter: "shared" }],
    ["its parameters", { params: "{ a: 2 }" }],
    ["where it connects to", { more: ', connection: { address: "a:1" }' }],
    ["the dimensions of an instance", { dimensions: "{ b: source.name }" }],
    ["its instances", { instances: "requests, others" }],
  ];
  test.each(changed)("is opened anew where %s changes", (_, written) => {
    expect(handlerOf(written).signature).not.toBe(signature);
  });

  test("is the same in whatever order its instances are named", () => {
    const [a, b] = ["requests, others", "others, requests"];
    expect(handlerOf({ instances: a }).signature).toBe(handlerOf({ instances: b }).signature);
  });
});

test("a limit of time is the handler's own, else that of its connection", () => {
  const connection = ', connection: { address: "a:1", timeout: 2s }';
  expect(handlerOf({}).timeoutMs).toBeUndefined();
  expect(handlerOf({ more: ', connection: { address: "a:1" }' }).timeoutMs).toBeUndefined();
  expect(handlerOf({ more: connection }).timeoutMs).toBe(2_000);
  expect(handlerOf({ more: `${connection}, timeout: 3s` }).timeoutMs).toBe(3_000);
});
