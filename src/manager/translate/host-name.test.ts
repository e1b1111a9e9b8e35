/** Names of services, short and full. */
import { expect, test } from "bun:test";
import { authorityOf, callableNames, fullHostName } from "./host-name.ts";

const full: readonly (readonly [name: string, namespace: string, host: string])[] = [
  ["reviews", "prod", "reviews.prod.svc.cluster.local"],
  ["Reviews", "", "reviews.default.svc.cluster.local"],
  ["reviews.prod", "default", "reviews.prod.svc.cluster.local"],
  ["reviews.prod.svc", "default", "reviews.prod.svc.cluster.local"],
  ["reviews.prod.svc.cluster.local", "default", "reviews.prod.svc.cluster.local"],
  ["api.example.com", "default", "api.example.com"],
  ["", "default", ""],
];
test.each(full)("%p in namespace %p is %p", (name, namespace, host) => {
  expect(fullHostName(name, namespace, "cluster.local")).toBe(host);
});

const callable: readonly (readonly [host: string, namespace: string, names: readonly string[]])[] =
  [
    ["a.x.svc.mesh", "x", ["a", "a.x", "a.x.svc", "a.x.svc.mesh"]],
    ["a.x.svc.mesh", "y", ["a.x", "a.x.svc", "a.x.svc.mesh"]],
    ["a.x.svc.other", "x", ["a.x.svc.other"]],
    ["api.example.com", "x", ["api.example.com"]],
    ["*.svc.mesh", "x", ["*.svc.mesh"]],
    ["svc.mesh", "x", ["svc", "svc.mesh"]],
    ["mesh", "x", ["mesh"]],
  ];
test.each(callable)("%p is called from %p as %j", (host, namespace, names) => {
  expect(callableNames(host, namespace, "mesh")).toEqual([...names]);
});

test("an IPv6 address stands in brackets", () => {
  expect(["10.0.0.1", "fd00::1", "[fd00::1]"].map(authorityOf)).toEqual([
    "10.0.0.1",
    "[fd00::1]",
    "[fd00::1]",
  ]);
});
