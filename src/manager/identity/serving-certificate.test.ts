/** The manager's own certificate: its names, its renewals, and a rotation beneath it. */
import { afterEach, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import {
  HOUR_MS,
  type IdentityParts,
  type IdentitySetUp,
  openIdentity,
} from "../../testing/identity-set-up.ts";

const opened: IdentitySetUp[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

function open(parts: IdentityParts = {}) {
  const set = openIdentity({ leafLifetimeMs: HOUR_MS, ...parts });
  opened.push(set);
  const { serving } = set.identity;
  let told = 0;
  serving.onChange(() => void told++);
  return {
    ...set,
    serving,
    told: () => told,
    leaf: () => new X509Certificate(serving.current().chainPem),
  };
}

test("has one identity, and the names by which clients reach a manager", () => {
  const { leaf, serving, identity } = open({ hosts: ["Mesh.Example", "10.1.2.3", "no name!"] });
  const names = leaf().subjectAltName?.split(", ") ?? [];
  expect(names.filter((name) => name.startsWith("URI:"))).toEqual([
    "URI:spiffe://cluster.local/ns/mesh-system/sa/mesh-manager",
  ]);
  expect(names).toContain("DNS:localhost");
  expect(names).toContain("DNS:mesh-manager.mesh-system.svc");
  expect(names).toContain("DNS:mesh.example");
  expect(names).toContain("IP Address:10.1.2.3");
  expect(names.join()).not.toContain("no name");
  expect(leaf().checkPrivateKey(createPrivateKey(serving.current().keyPem))).toBe(true);
  expect(serving.current().rootPems).toEqual(identity.authority.roots);
});

test("is a new one at half of its life", () => {
  const { leaf, clock, told } = open();
  const { serialNumber } = leaf();
  clock.advance(HOUR_MS / 2 - 1);
  expect(leaf().serialNumber).toBe(serialNumber);
  clock.advance(1);
  expect(leaf().serialNumber).not.toBe(serialNumber);
  expect(told()).toBe(1);
});

test("follows a rotation: other roots at once, another certificate when the new root signs", () => {
  const { leaf, clock, told, identity, serving } = open();
  const { serialNumber } = leaf();
  identity.authority.rotate(60_000);
  expect(told()).toBe(1);
  expect(serving.current().rootPems).toHaveLength(2);
  expect(leaf().serialNumber).toBe(serialNumber);
  clock.advance(60_000);
  expect(leaf().serialNumber).not.toBe(serialNumber);
  const [root] = serving.current().rootPems;
  expect(leaf().verify(new X509Certificate(root!).publicKey)).toBe(true);
  // The former root's word for the new one is sent along.
  expect(serving.current().chainPem.match(/BEGIN/g)).toHaveLength(2);
});

test("leaves nothing running when it is closed", () => {
  const { clock, close } = open();
  opened.length = 0;
  close();
  expect(clock.waiting).toBe(0);
});
