/** What a sidecar says of whom it calls for, and what is made of it. */
import { expect, test } from "bun:test";
import { callerNode } from "../../testing/rule-policy.ts";
import { claimOf, meshRequest } from "../transport/mesh-request.ts";
import { CLAIM_MAX, callerOf, decodeClaim, encodeClaim } from "./workload-claim.ts";

test("a claim names the workload in the words of rules", () => {
  const claim = encodeClaim({ ...callerNode, labels: { version: "v1", t\u00e9: "\u20ac" } });
  const caller = callerOf(decodeClaim(claim)!);
  expect({ ...caller, labels: Object.fromEntries(caller.labels.entries()) }).toEqual({
    uid: "kubernetes://caller-1.default",
    podName: "caller-1",
    namespace: "default",
    name: "caller-v1",
    workloadUid: "istio://default/workloads/caller-v1",
    owner: "istio://default/workloads/caller-v1",
    service: "caller.default.svc.cluster.local",
    labels: { version: "v1", t\u00e9: "\u20ac", app: "caller" },
  });
});

test("who stands for no service is known by its id", () => {
  const caller = callerOf(decodeClaim(encodeClaim({ ...callerNode, service: "", labels: {} }))!);
  expect([caller.name, caller.namespace, caller.service]).toEqual(["caller-1", "default", ""]);
});

test("it is a field of the request that opens a connection", () => {
  const claim = encodeClaim(callerNode);
  expect(claimOf(meshRequest(claim))).toBe(claim);
  expect(claimOf(meshRequest(""))).toBe("");
});

test("there may be too much to say", () => {
  expect(encodeClaim({ ...callerNode, labels: { a: "x".repeat(CLAIM_MAX) } })).toBe("");
});

test.each([
  ["", "nothing"],
  ["*", "no base64"],
  [Buffer.from("{").toString("base64url"), "no JSON"],
  [Buffer.from([0xff, 0xfe]).toString("base64url"), "no text"],
  [Buffer.from("null").toString("base64url"), "no list"],
  [Buffer.from('["a","b","c"]').toString("base64url"), "too short a list"],
  [Buffer.from('["a","b","c",[]]').toString("base64url"), "labels that are none"],
  [Buffer.from('["a","b","c",{"x":1}]').toString("base64url"), "a label that is no text"],
  [Buffer.from('[1,"b","c",{}]').toString("base64url"), "an id that is no text"],
  [Buffer.from('["a",{},"c",{}]').toString("base64url"), "a service that is no text"],
  [Buffer.from(`["a","b","c",{}]${" ".repeat(CLAIM_MAX)}`).toString("base64url"), "too long"],
])("%s is not believed: %s", (claim) => {
  expect(decodeClaim(claim)).toBeUndefined();
});
