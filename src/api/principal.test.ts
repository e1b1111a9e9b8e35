/** Who a caller is to handlers that ask. */
import { expect, test } from "bun:test";
import { createContextValues } from "@connectrpc/connect";
import { callerOf, callerValues, hasRole, NOBODY, type Principal, whoText } from "./principal.ts";

const certificate = { serial: "0A", sha256: "00", notAfterMs: 0, root: "" };
const identity = "spiffe://cluster.local/ns/default/sa/reviews";
const workload: Principal = { kind: "workload", identity, certificate };
const local: Principal = { kind: "local", uid: 1000 };
const anonymous: Principal = { kind: "anonymous", reason: "the certificate expired" };
const person = (role: "viewer" | "operator" | "admin"): Principal => {
  return { kind: "person", name: "ann", role };
};

test("whoever was not asked is nobody", () => {
  expect(callerOf(createContextValues())).toBe(NOBODY);
  const caller = { principal: local, address: "127.0.0.1:5" };
  expect(callerOf(callerValues(caller))).toBe(caller);
});

test.each([
  [workload, identity, 0],
  [person("viewer"), "ann", 1],
  [person("operator"), "ann", 2],
  [person("admin"), "ann", 3],
  [local, "loopback", 3],
  [anonymous, "anonymous", 0],
] as const)("%j is %s, and has %d of the roles", (principal, who, roles) => {
  expect(whoText(principal)).toBe(who);
  const held = (["viewer", "operator", "admin"] as const).map((role) => hasRole(principal, role));
  expect(held).toEqual([roles > 0, roles > 1, roles > 2]);
});
