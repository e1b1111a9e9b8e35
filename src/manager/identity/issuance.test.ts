/** Who gets a certificate, and everybody who does not. Times and callers as they come. */
import { afterEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Principal } from "../../api/principal.ts";
import {
  HOUR_MS,
  type IdentityParts,
  type IdentitySetUp,
  openIdentity,
} from "../../testing/identity-set-up.ts";
import { dnsName, signingRequestPem, uriName } from "../../testing/signing-request.ts";
import { type Grant, SIDECAR } from "./grant.ts";
import type { IssueCall } from "./issuance.ts";

const directory = mkdtempSync(join(tmpdir(), "mesh-issuance-"));
const path = join(directory, "identity.db");
const opened: IdentitySetUp[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
});

function open(parts: IdentityParts = {}): IdentitySetUp {
  const one = openIdentity(parts);
  opened.push(one);
  return one;
}

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";
const RATINGS = "spiffe://cluster.local/ns/default/sa/ratings";
const NOT_TAKEN = "the join token is unknown, revoked, expired or used up";
const local: IssueCall["caller"] = {
  principal: { kind: "local", uid: 0 },
  address: "127.0.0.1:40000",
};

function newToken(
  { identity }: IdentitySetUp,
  uses = 1,
  lifetimeMs = HOUR_MS,
  grant: Partial<Grant> = {},
) {
  const { text, token } = identity.joinTokens.create({
    ...{ identity: REVIEWS, service: "reviews.default", author: "ann", pin: "x".repeat(43) },
    ...{ uses, lifetimeMs, ...SIDECAR, ...grant },
  });
  return { id: token.id, credential: { kind: "join token", text } as const };
}

/** Newest first; the first of all is the manager's own. */
const issuedBy = ({ identity }: IdentitySetUp): readonly string[] =>
  identity.issued.list(10).map(({ by }) => by);

function workload(identity: string, serial = "4A"): IssueCall["caller"] {
  const certificate = { serial, sha256: "ab", notAfterMs: 0, root: "" };
  return { principal: { kind: "workload", identity, certificate }, address: "10.0.0.7:1" };
}

describe("a join token", () => {
  test("is good for its identity, once", async () => {
    const one = open();
    const { id, credential } = newToken(one);
    expect(await one.issue({ credential, service: "reviews.default" })).toBe("issued");
    expect(await one.issue({ credential })).toBe(
      `unauthenticated: join token ${id}: it was used as often as it may be`,
    );
    expect(one.identity.issued.list(1)).toMatchObject([
      { identity: REVIEWS, by: `join token ${id}`, address: "10.0.0.7:51234" },
    ]);
    expect(issuedBy(one)).toEqual([`join token ${id}`, "itself"]);
    expect(one.identity.issued.servicesOf(REVIEWS)).toEqual(["reviews.default"]);
    expect(one.audit).toMatchObject([
      { who: `join token ${id}`, action: "certificate issued", object: REVIEWS, allowed: true },
      { who: "anonymous", action: "certificate refused", allowed: false },
    ]);
  });

  test("is good as often as it says, and no oftener, however many ask at once", async () => {
    const first = open({ path });
    const others = Array.from({ length: 3 }, () => open({ path, seal: first.seal }));
    const { credential } = newToken(first, 5);
    const calls = [first, ...others].flatMap((one) =>
      Array.from({ length: 5 }, () => one.issue({ credential })),
    );
    const results = await Promise.all(calls);
    expect(results.filter((result) => result === "issued")).toHaveLength(5);
    expect(first.identity.joinTokens.list()).toMatchObject([{ used: 5, uses: 5 }]);
  });

  test("found good by two at once is spent by one, and the other gets nothing", async () => {
    const one = open();
    const { tokens, credential } = { tokens: one.identity.joinTokens, ...newToken(one) };
    const [first, second] = [tokens.judge(credential.text), tokens.judge(credential.text)];
    if (first.at !== "good" || second.at !== "good") throw new Error("neither is good");
    expect([tokens.spend(first.token.id), tokens.spend(second.token.id)]).toEqual([true, false]);
    const id = { trustDomain: "cluster.local", namespace: "default", account: "reviews" };
    const claim = {
      id,
      services: [],
      grant: SIDECAR,
      by: "a token",
      origin: "",
      spend: () => false,
    };
    const late = open({
      jwts: [{ isFor: () => true, claimOf: async () => ({ at: "claim", claim }) }],
    });
    const text = `.${Buffer.from('{"iss":"x"}').toString("base64url")}.`;
    expect(await late.issue({ credential: { kind: "jwt", text } })).toBe(
      "unauthenticated: a token: it was used up meanwhile",
    );
    expect(issuedBy(late)).toEqual(["itself"]);
  });

  test("says the same to the caller whatever is wrong with it", async () => {
    const one = open();
    const used = newToken(one);
    await one.issue({ credential: used.credential });
    const revoked = newToken(one);
    expect(one.identity.joinTokens.revoke(revoked.id)).toBe(true);
    const expired = newToken(one, 1, 1_000);
    one.clock.advance(1_000);
    const { text } = newToken(one).credential;
    const wrong = text.replace(/\.[A-Za-z0-9_-]/, ".").replace(/\.(?=[^.]{43}$)/, "A.");
    const rows: readonly (readonly [credential: { text: string }, reason: string])[] = [
      [used.credential, "it was used as often as it may be"],
      [revoked.credential, "it was revoked"],
      [expired.credential, "it expired"],
      [{ text: text.replace(/\.[0-9a-f]{12}\./, ".000000000000.") }, "there is none of this id"],
      [{ text: text.replace(/\.[A-Za-z0-9_-]{43}\./, `.${"A".repeat(43)}.`) }, "secret is wrong"],
      [{ text: wrong }, "it has not the form of a join token"],
      [{ text: text.replace("mesh1", "mesh-access") }, "it has not the form of a join token"],
      [{ text: "" }, "it has not the form of a join token"],
      [{ text: "x".repeat(100_000) }, "it has not the form of a join token"],
    ];
    for (const [{ text: token }, reason] of rows) {
      const credential = { kind: "join token", text: token } as const;
      const csrPem = signingRequestPem();
      const call = { csrPem, credential, service: "", account: "", lifetimeMs: 0 };
      const result = await one.identity.issuance.issue({ ...call, caller: anybody });
      if (result.at === "issued") throw new Error(`${reason}: issued`);
      expect(result.refusal.kind).toBe("unauthenticated");
      expect(result.refusal.sentence).toContain(NOT_TAKEN);
      expect(result.refusal.reason).toContain(reason);
    }
  });

  test("is not spent by a request that fails", async () => {
    const one = open();
    const { credential } = newToken(one);
    for (const call of [
      { csrPem: "nonsense" },
      { csrPem: signingRequestPem({ names: [[uriName(RATINGS)]] }) },
      { service: "ratings.default" },
    ])
      expect(await one.issue({ credential, ...call })).not.toBe("issued");
    expect(await one.issue({ credential })).toBe("issued");
  });

  test("is for no other service and no other account", async () => {
    const one = open();
    const { credential } = newToken(one);
    for (const wish of [
      { service: "ratings.default" },
      { service: "reviews.other" },
      { service: "reviews.default.example.com" },
      { account: "default/ratings" },
      { account: "other/reviews" },
    ])
      expect(await one.issue({ credential, ...wish })).toStartWith("denied: the credential is of");
    expect(await one.issue({ credential, account: "default/reviews" })).toBe("issued");
  });

  test("once revoked, ends the renewals that go back to it", async () => {
    const one = open();
    const { id, credential } = newToken(one);
    await one.issue({ credential });
    const renew = async (): Promise<string> => {
      const serial = one.identity.issued.list(1)[0]?.serial ?? "";
      return await one.issue({ caller: workload(REVIEWS, serial.toUpperCase()) });
    };
    expect(await renew()).toBe("issued");
    expect(await renew()).toBe("issued");
    one.identity.joinTokens.revoke(id);
    expect(await renew()).toBe(`denied: join token ${id}, by which it came, was revoked`);
  });
});

const anybody: IssueCall["caller"] = {
  principal: { kind: "anonymous", reason: "" },
  address: "10.0.0.7:51234",
};

describe("a token of an issuer", () => {
  const id = (account: string) => ({ trustDomain: "cluster.local", namespace: "default", account });
  const jwt = (account: string): IssueCall["credential"] => {
    const claims = Buffer.from(JSON.stringify({ iss: "x", sub: account })).toString("base64url");
    return { kind: "jwt", text: `.${claims}.` };
  };

  test("is a gateway's where the manager is told of its account", async () => {
    const one = open({
      gatewayAccounts: ["default/edge", "other/web"],
      jwts: [
        {
          isFor: () => true,
          async claimOf(text) {
            const { sub } = JSON.parse(Buffer.from(text.split(".")[1]!, "base64url").toString());
            const claim = { id: id(sub), services: [], grant: SIDECAR, by: "a pod", origin: "" };
            return { at: "claim", claim };
          },
        },
      ],
    });
    expect(await one.issue({ credential: jwt("edge"), mode: "gateway" })).toBe("issued");
    const edge = one.identity.issued.list(1)[0]!;
    const certificate = { serial: edge.serial, sha256: "", notAfterMs: 0, root: "" };
    expect(one.identity.standing.grantOf(edge.identity, certificate).mode).toBe("gateway");
    // What it says is the flag's, and is not kept: without the flag it is a sidecar's.
    expect(one.identity.issued.grantOf(edge.serial)).toMatchObject({ mode: "sidecar" });
    for (const account of ["web", "edge2"]) {
      expect(await one.issue({ credential: jwt(account), mode: "gateway" })).toStartWith(
        `denied: the credential is of spiffe://cluster.local/ns/default/sa/${account}, and no gat`,
      );
      expect(await one.issue({ credential: jwt(account), mode: "sidecar" })).toBe("issued");
    }
  });
});

describe("a request for a certificate", () => {
  const rows: readonly (readonly [what: string, csrPem: string, refusal: string])[] = [
    ["of another identity", signingRequestPem({ names: [[uriName(RATINGS)]] }), "denied: "],
    ["of two", signingRequestPem({ names: [[uriName(REVIEWS), uriName(RATINGS)]] }), "improper: "],
    [
      "of itself twice",
      signingRequestPem({ names: [[uriName(REVIEWS), uriName(REVIEWS)]] }),
      "imp",
    ],
    ["with NUL in it", signingRequestPem({ names: [[uriName(`${REVIEWS}\0x`)]] }), "improper: "],
    ["with a DNS name", signingRequestPem({ names: [[dnsName("reviews")]] }), "improper: "],
    ["whose subject is another", signingRequestPem({ commonName: Buffer.from("ratings") }), "den"],
    ["that is none", "-----BEGIN CERTIFICATE REQUEST-----", "improper: "],
  ];
  test.each(rows)("%s is refused, whoever sends it", async (_, csrPem, refusal) => {
    const one = open();
    const { credential } = newToken(one);
    expect(await one.issue({ csrPem, credential })).toStartWith(refusal);
    expect(await one.issue({ csrPem, caller: local, service: "reviews" })).toStartWith(refusal);
    expect(await one.issue({ csrPem, caller: workload(REVIEWS) })).toStartWith(refusal);
    expect(issuedBy(one)).toEqual(["itself"]);
  });

  test("of itself is good, and the certificate says what the credential does", async () => {
    const one = open();
    const call = {
      csrPem: signingRequestPem({ names: [[uriName(REVIEWS)]] }),
      credential: newToken(one).credential,
      service: "",
      account: "",
      lifetimeMs: HOUR_MS,
      caller: anybody,
    };
    const result = await one.identity.issuance.issue(call);
    if (result.at === "refused") throw new Error(result.refusal.reason);
    const certificate = new X509Certificate(result.leaf.chainPem);
    expect(certificate.subjectAltName).toBe(`URI:${REVIEWS}`);
    const leftMs = certificate.validToDate.getTime() - one.clock.wallMs();
    expect(Math.abs(leftMs - HOUR_MS)).toBeLessThan(2_000);
  });
});

describe("without another credential", () => {
  const rows: readonly (readonly [Principal, Partial<IssueCall>, result: string])[] = [
    [anybody.principal, { service: "reviews" }, "unauthenticated: no credential"],
    [
      { kind: "anonymous", reason: "the certificate has expired" },
      { service: "reviews" },
      "unauthenticated: the certificate has expired",
    ],
    [local.principal, { service: "reviews" }, "issued"],
    [local.principal, { service: "Reviews.default.svc.cluster.local" }, "issued"],
    [local.principal, { account: "default/bookinfo" }, "issued"],
    [local.principal, { service: "reviews.default", account: "default/bookinfo" }, "issued"],
    [local.principal, {}, "improper: whom it is for is missing"],
    [local.principal, { service: "a/b" }, "improper: "],
    [local.principal, { account: "default/../x" }, "improper: "],
    [local.principal, { account: "reviews" }, "improper: "],
    [local.principal, { service: "reviews.other", account: "default/bookinfo" }, "denied: "],
    [{ kind: "person", name: "ann", role: "admin" }, { service: "reviews" }, "issued"],
    [{ kind: "person", name: "ben", role: "operator" }, { service: "reviews" }, "denied: "],
    [workload(REVIEWS).principal, {}, "issued"],
    [workload(REVIEWS).principal, { service: "reviews" }, "issued"],
    [workload(REVIEWS).principal, { service: "ratings" }, "denied: "],
    [workload(REVIEWS).principal, { account: "default/ratings" }, "denied: "],
  ];
  test.each(rows)("%j asks for %j: %s", async (principal, call, result) => {
    const one = open();
    const caller = { principal, address: "10.0.0.7:1" };
    expect(await one.issue({ caller, ...call })).toStartWith(result);
  });

  test("a service that the first certificate was for stays one at renewal", async () => {
    const one = open();
    const wish = { service: "reviews.default", account: "default/bookinfo" };
    expect(await one.issue({ caller: local, ...wish })).toBe("issued");
    const bookinfo = "spiffe://cluster.local/ns/default/sa/bookinfo";
    expect(await one.issue({ caller: workload(bookinfo), service: "reviews" })).toBe("issued");
    expect(await one.issue({ caller: workload(bookinfo), service: "ratings" })).toStartWith("den");
    one.clock.advance(23 * HOUR_MS);
    expect(await one.issue({ caller: workload(bookinfo) })).toBe("issued");
    one.clock.advance(2 * HOUR_MS);
    expect(one.identity.issued.servicesOf(bookinfo)).toEqual(["reviews.default"]);
    one.clock.advance(24 * HOUR_MS);
    expect(one.identity.issued.servicesOf(bookinfo)).toEqual([]);
  });

  test("an issuer that nobody knows vouches for nobody", async () => {
    const one = open();
    for (const text of ["", "a.b", "a.b.c", "x".repeat(100_000)])
      expect(await one.issue({ credential: { kind: "jwt", text } })).toStartWith("unauthenticated");
  });
});

describe("too many", () => {
  test("refusals of one address end its trying, and nobody else's", async () => {
    const one = open();
    const { credential } = newToken(one);
    const bad = { kind: "join token", text: "mesh1.0.0" } as const;
    for (let i = 0; i < 30; i++)
      expect(await one.issue({ credential: bad })).toStartWith("unauthenticated");
    expect(await one.issue({ credential })).toStartWith("exhausted: ");
    const other = { ...anybody, address: "10.0.0.8:51234" };
    expect(await one.issue({ credential, caller: other })).toBe("issued");
    expect(await one.issue({ caller: workload(REVIEWS) })).toBe("issued");
    one.clock.advance(10_000);
    expect(await one.issue({ credential: bad })).toStartWith("unauthenticated");
  });

  test("certificates of one identity are not given", async () => {
    const one = open();
    const csrPem = signingRequestPem();
    for (let i = 0; i < 500; i++)
      expect(await one.issue({ csrPem, caller: workload(REVIEWS) })).toBe("issued");
    expect(await one.issue({ csrPem, caller: workload(REVIEWS) })).toStartWith("exhausted: ");
    expect(await one.issue({ csrPem, caller: workload(RATINGS) })).toBe("issued");
    one.clock.advance(1_000);
    expect(await one.issue({ csrPem, caller: workload(REVIEWS) })).toBe("issued");
  });
});
