/** Whom a connection may reach, by the domains of the mesh as they are said last. */
import { expect, test } from "bun:test";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { believe, idOf, member, show } from "../../testing/mesh-member.ts";
import type { MeshIdentity } from "./mesh-identity.ts";

const authority = new CertificateAuthority();

function expectedOf(identity: MeshIdentity, peer: string): readonly string[] {
  const expected = identity.clientTls(peer, "mesh-h2")?.expected;
  if (expected === undefined || expected === "anybody") throw new Error(String(expected));
  return [...expected.uris].sort();
}

test("domains of the same mesh stand for each other, and no others", () => {
  const identity = member({ authority, domains: ["cluster.local", "old.example"] });
  const both = [idOf("svc"), idOf("svc", "old.example")];
  expect(expectedOf(identity, idOf("svc"))).toEqual(both);
  expect(expectedOf(identity, idOf("svc", "old.example"))).toEqual(both);
  const foreign = idOf("svc", "foreign.example");
  expect(expectedOf(identity, foreign)).toEqual([foreign]);
  expect(expectedOf(identity, "https://cluster.local/ns/default/sa/svc")).toHaveLength(1);
});

test("an alias that is taken away is nobody's name from then on", () => {
  const identity = member({ authority, domains: ["cluster.local", "old.example"] });
  const before = identity.clientTls(idOf("svc"), "mesh-h2");
  expect(expectedOf(identity, idOf("svc"))).toHaveLength(2);
  believe(identity, [authority], ["cluster.local"]);
  expect(expectedOf(identity, idOf("svc"))).toEqual([idOf("svc")]);
  expect(identity.clientTls(idOf("svc"), "mesh-h2")).toBe(before);
  believe(identity, [authority], ["cluster.local", "new.example"]);
  expect(expectedOf(identity, idOf("svc"))).toEqual([idOf("svc"), idOf("svc", "new.example")]);
});

test("what changes of roots and certificates counts for the next connection", () => {
  const identity = member({ authority });
  const tls = identity.clientTls(idOf("svc"), "mesh-h2")!;
  const before = tls.native!;
  expect(tls.native).toBe(before);
  const next = new CertificateAuthority("Next");
  believe(identity, [next]);
  const { ca, cert } = tls.native!;
  expect([ca, cert]).toEqual([next.certificate, before.cert]);
  show(identity, next.issue({ name: "svc", for: [`URI:${idOf("svc")}`] }));
  expect(tls.native!.ca).toBe(next.certificate);
  expect(tls.native!.cert).not.toBe(before.cert);
});
