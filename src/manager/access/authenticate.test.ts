/** Who a caller is, by what he shows: one row for each thing that may be wrong with it. */
import { describe, expect, test } from "bun:test";
import type { Peer, ShownCertificate } from "../../api/peer.ts";
import type { Role } from "../../api/principal.ts";
import { authenticator, cookieValue } from "./authenticate.ts";

const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";
const ANN = "spiffe://cluster.local/ns/ops/sa/ann";
const TOKENS: Readonly<Record<string, { name: string; role: Role }>> = {
  "mesh-access.1.s": { name: "ann", role: "operator" },
  "mesh-access.2.s": { name: "bob", role: "viewer" },
};

const identify = authenticator({
  wallMs: () => NOW,
  uids: new Set([0, 1000]),
  tokens: { find: (token) => TOKENS[token] },
  trustDomains: () => ["cluster.local", "old.example"],
  roots: () => new Set(["root"]),
  lapseOf: ({ serial }) =>
    serial === "0B" ? "join token 3f, by which it came, was revoked" : undefined,
  roles: new Map([[ANN, "admin"]]),
});

function who(peer: Peer, shown: { authorization?: string; cookie?: string } = {}): string {
  const { authorization, cookie } = shown;
  const { principal, address } = identify(peer, { authorization, cookie });
  expect(address).toBe(peer.address);
  switch (principal.kind) {
    case "workload":
      return `workload ${principal.identity}`;
    case "person":
      return `${principal.role} ${principal.name}`;
    case "local":
      return `local ${principal.uid}`;
    default:
      return `nobody: ${principal.reason}`;
  }
}

function plaintext(uid: number | undefined): Peer {
  return { at: "plaintext", address: "127.0.0.1:5", uid };
}

/** `uriCount` is with those that are none. */
function names(uriCount: number, ...uris: readonly string[]) {
  return { dns: [], uris, uriCount, addresses: [] };
}

function tls(changed: Partial<ShownCertificate> = {}, uris: readonly string[] = [REVIEWS]): Peer {
  const certificate: ShownCertificate = {
    verdict: "",
    names: names(uris.length, ...uris),
    serial: "0A",
    sha256: "ab",
    notBeforeMs: NOW - HOUR,
    notAfterMs: NOW + HOUR,
    root: "root",
    ...changed,
  };
  return { at: "tls", address: "10.0.0.7:5", certificate };
}

const connections: readonly (readonly [what: string, peer: Peer, is: string])[] = [
  ["our own user's process", plaintext(1000), "local 1000"],
  ["root's", plaintext(0), "local 0"],
  ["another user's", plaintext(1001), "nobody: a process of user 1001"],
  ["one that is not to be known", plaintext(undefined), "nobody: whose process calls is not known"],
  [
    "no certificate",
    { at: "tls", address: "10.0.0.7:5", certificate: undefined },
    "nobody: no cer",
  ],
  ["a workload's", tls(), `workload ${REVIEWS}`],
  ["a person's", tls({}, [ANN]), `admin ${ANN}`],
  ["a person's, revoked", tls({ serial: "0B" }, [ANN]), "nobody: join token 3f, by which it came"],
  ["expired when shown", tls({ verdict: "CERT_HAS_EXPIRED" }), "nobody: the certificate is not go"],
  ["expired since", tls({ notAfterMs: NOW }), "nobody: the certificate has expired"],
  ["not yet in force", tls({ notBeforeMs: NOW + 1 }), "nobody: the certificate is not in force"],
  ["of a root that went", tls({ root: "old" }), "nobody: the certificate's root is trusted no mo"],
  ["of no root", tls({ root: "" }), "nobody: the certificate's root is trusted no more"],
  ["no URI", tls({}, []), "nobody: the certificate is for 0 URIs"],
  ["two URIs", tls({}, [REVIEWS, ANN]), "nobody: the certificate is for 2 URIs"],
  [
    "a second one left out",
    tls({ names: names(2, REVIEWS) }),
    "nobody: the certificate is for 2 URIs",
  ],
  ["one with NUL, left out", tls({ names: names(1) }), "nobody: the certificate is for 1 URIs"],
  ["a URI of the web", tls({}, ["https://a"]), "nobody: the certificate is for no workload"],
  ["no account", tls({}, ["spiffe://cluster.local/ns/a"]), "nobody: the certificate is for no wo"],
  ["an alias's", tls({}, ["spiffe://old.example/ns/a/sa/b"]), "workload spiffe://old.example/ns/a"],
  ["another domain's", tls({}, ["spiffe://evil/ns/a/sa/b"]), "nobody: the certificate is of trus"],
];

test.each(connections)("a connection with %s", (_, peer, is) => {
  expect(who(peer)).toStartWith(is);
});

const BAD = "nobody: the authorization is no access token in force";
const requests: readonly (readonly [authorization: string, is: string])[] = [
  ["Bearer mesh-access.1.s", "operator ann"],
  ["bearer  mesh-access.2.s", "viewer bob"],
  ["Bearer mesh-access.3.s", BAD],
  ["Bearer mesh1.1.s", BAD],
  ["Bearer", BAD],
  ["Bearer ", BAD],
  ["Bearer mesh-access.1.s x", BAD],
  ["Basic mesh-access.1.s", BAD],
  ["mesh-access.1.s", BAD],
  ["", BAD],
  [`Bearer mesh-access.${"1".repeat(1000)}`, BAD],
];

describe.each([
  ["loopback", plaintext(1000)],
  ["another user's process", plaintext(7)],
  ["a workload's certificate", tls()],
])("what a request shows counts, by %s", (_, peer) => {
  test.each(requests)("authorization: %s", (authorization, is) => {
    expect(who(peer, { authorization })).toBe(is);
  });

  test("a cookie is good for reading only", () => {
    expect(who(peer, { cookie: "a=b; mesh-session=mesh-access.1.s" })).toBe("viewer ann");
    expect(who(peer, { cookie: "mesh-session=mesh-access.9.s" })).toStartWith("nobody");
  });
});

test("cookies of others are passed over", () => {
  expect(who(plaintext(1000), { cookie: "a=b; xmesh-session=c" })).toBe("local 1000");
  const values = ["mesh-session", "=x; mesh-session=a=b", "", ";;"].map((header) =>
    cookieValue(header, "mesh-session"),
  );
  expect(values).toEqual([undefined, "a=b", undefined, undefined]);
});
