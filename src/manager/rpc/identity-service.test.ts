/** Certificates and tokens by both doors of a manager, as workloads and people call, by sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { AccessRole } from "../../api/gen/mesh/v1/identity_pb.ts";
import { createCertificateRequest } from "../../io/certificate-request.ts";
import {
  type IdentityManager,
  openIdentityManager,
  outcome,
} from "../../testing/identity-manager.ts";
import { HOUR_MS, type IdentityParts } from "../../testing/identity-set-up.ts";
import { dnsName, signingRequestPem, uriName } from "../../testing/signing-request.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { issueCertificate, publicKeyOf } from "../identity/certificate-issue.ts";
import { signerOf } from "../identity/signer.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function open(parts: IdentityParts = {}): Promise<IdentityManager> {
  const one = await openIdentityManager(parts);
  closing.push(() => one.stop());
  return one;
}

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";
const RATINGS = "spiffe://cluster.local/ns/default/sa/ratings";

async function newToken({ local }: IdentityManager, uses = 1, service = "reviews.default") {
  const { token, joinToken } = await local.admin.createJoinToken({ service, uses });
  return { token, id: joinToken?.id ?? "" };
}

/** A workload with its first certificate, by token. */
async function join(one: IdentityManager, token: string) {
  const { csrPem, keyPem } = await createCertificateRequest(REVIEWS);
  const credential = { case: "joinToken", value: token } as const;
  const asked = { csrPem, credential, service: "reviews.default" };
  const { chainPem, trust } = await one
    .remote({ joinToken: token })
    .identity.issueCertificate(asked);
  return { chainPem, keyPem, trust };
}

describe("a workload from elsewhere", () => {
  test("knows the manager by its token, gets a certificate, and renews it by that", async () => {
    const one = await open();
    const { token } = await newToken(one);
    const { chainPem, keyPem, trust } = await join(one, token);
    const leaf = new X509Certificate(chainPem);
    expect(leaf.subjectAltName).toBe(`URI:${REVIEWS}`);
    expect(leaf.checkPrivateKey(createPrivateKey(keyPem))).toBe(true);
    expect(trust).toMatchObject({ trustDomain: "cluster.local" });
    expect(leaf.verify(new X509Certificate(trust!.rootPems[0]!).publicKey)).toBe(true);
    const { csrPem } = await createCertificateRequest("");
    const renewed = await one.remote({ chainPem, keyPem }).identity.issueCertificate({ csrPem });
    expect(new X509Certificate(renewed.chainPem).subjectAltName).toBe(`URI:${REVIEWS}`);
    const { certificates } = await one.local.admin.listIssued({ limit: 1 });
    expect(certificates).toMatchObject([
      { identity: REVIEWS, by: `certificate ${leaf.serialNumber.toLowerCase()}` },
    ]);
  });

  test("says nothing to a manager that is not the one its token names", async () => {
    const [one, other] = [await open(), await open()];
    const { token } = await newToken(one);
    const { csrPem } = signingRequest();
    const credential = { case: "joinToken", value: token } as const;
    const answer = other.remote({ joinToken: token }).identity.issueCertificate({
      ...{ csrPem, credential },
    });
    expect(await outcome(answer)).not.toBe("ok");
    expect(other.audit).toEqual([]);
  });

  test("knows the manager by a token that was made before the root was rotated", async () => {
    const clock = new VirtualClock(Date.now() - 3 * HOUR_MS);
    const one = await open({ clock, leafLifetimeMs: HOUR_MS });
    const { token } = await newTokenFor(one, 4 * 3_600);
    one.identity.authority.rotate(1_000);
    clock.advance(3 * HOUR_MS);
    expect(one.identity.authority.rows.map(({ state }) => state)).toEqual(["active", "former"]);
    const { chainPem, keyPem, trust } = await join(one, token);
    expect(trust?.rootPems).toHaveLength(2);
    // With it goes what the former root says of the new one, and the manager takes both.
    expect(chainPem.match(/BEGIN/g)).toHaveLength(2);
    const { csrPem } = await createCertificateRequest(REVIEWS);
    const renewed = one.remote({ chainPem, keyPem }).identity.issueCertificate({ csrPem });
    expect(await outcome(renewed)).toBe("ok");
    const leaf = new X509Certificate(chainPem);
    expect(leaf.verify(new X509Certificate(trust!.rootPems[0]!).publicKey)).toBe(true);
  });
});

describe("over TLS, without a certificate, is refused", () => {
  type Asking = Parameters<IdentityManager["local"]["identity"]["issueCertificate"]>[0];
  const rows: readonly (readonly [
    what: string,
    token: "good" | "used" | "revoked" | "none",
    asked: Asking,
    outcome: RegExp,
  ])[] = [
    ["nobody", "none", {}, /^Unauthenticated: a credential is needed/],
    ["a token used twice", "used", {}, /^Unauthenticated: the join token is unknown, revoked, exp/],
    ["a revoked token", "revoked", {}, /^Unauthenticated: the join token is unknown, revoked, exp/],
    ["a token for another service", "good", { service: "ratings.default" }, /^PermissionDenied: /],
    ["a token for another account", "good", { serviceAccount: "a/b" }, /^PermissionDenied: /],
    ["another's request", "good", named(uriName(RATINGS)), /^PermissionDenied: the request names/],
    ["two URIs", "good", named(uriName(REVIEWS), uriName(RATINGS)), /^InvalidArgument: .* 2 subj/],
    ["NUL in a URI", "good", named(uriName(`${REVIEWS}\0`)), /^InvalidArgument: .*cannot be read/],
    ["a DNS name", "good", named(dnsName("reviews")), /^InvalidArgument: .*no SPIFFE id/],
    ["no request", "good", { csrPem: "hello" }, /^InvalidArgument: the request for a certificate/],
  ];
  test.each(rows)("%s", async (_, kind, asked, expected) => {
    const one = await open();
    const { token, id } = await newToken(one);
    if (kind === "used") await join(one, token);
    if (kind === "revoked") await one.local.admin.revokeJoinToken({ id });
    const credential = { case: "joinToken", value: token } as const;
    const { identity } = one.remote({ joinToken: token });
    const issued = one.identity.issuance.counts.issued;
    const answer = identity.issueCertificate({
      ...signingRequest(),
      ...(kind === "none" ? {} : { credential }),
      ...asked,
    });
    expect(await outcome(answer)).toMatch(expected);
    expect(one.identity.issuance.counts.issued).toBe(issued);
    expect(one.audit.at(-1)).toMatchObject({ action: "certificate refused", allowed: false });
  });
});

test("a certificate of a root that is forgotten is nobody's, however long it lasts", async () => {
  const clock = new VirtualClock(Date.now() - 3 * HOUR_MS);
  const one = await open({ clock, leafLifetimeMs: HOUR_MS });
  const former = forged(one);
  one.identity.authority.rotate(1_000);
  clock.advance(3 * HOUR_MS);
  expect(one.identity.authority.roots).toHaveLength(1);
  const renew = async (shown: ReturnType<typeof forged>): Promise<string> => {
    const { csrPem } = await createCertificateRequest("");
    return await outcome(one.remote(shown).identity.issueCertificate({ csrPem }));
  };
  expect(await renew(former)).toStartWith("Unauthenticated: a credential is needed");
  expect(await renew(forged(one))).toBe("ok");
});

/** A certificate for two days, by whoever got hold of the key that signs now. */
function forged({ identity, seal, clock }: IdentityManager) {
  const signer = signerOf(identity.authority.rows[0]!, seal, undefined);
  if (typeof signer === "string") throw new Error(signer);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const notBeforeMs = clock.wallMs() - 1_000;
  const times = { notBeforeMs, notAfterMs: notBeforeMs + 48 * HOUR_MS };
  const names = [{ kind: "uri", value: REVIEWS }] as const;
  const template = { ...times, names, publicKey: publicKeyOf(privateKey) };
  const { pem } = issueCertificate(template, signer.issuer);
  return {
    chainPem: pem,
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

describe("tokens of people", () => {
  test("give their role at either door, until they are revoked", async () => {
    const one = await open();
    const { admin } = one.local;
    const tokenOf = async (role: AccessRole): Promise<{ token: string; id: string }> => {
      const { token, accessToken } = await admin.createAccessToken({ name: "ann", role });
      return { token, id: accessToken?.id ?? "" };
    };
    const may = async (accessToken: string): Promise<string> => {
      const ann = one.remote({ accessToken });
      const seen = await outcome(ann.admin.getAuthority({}));
      const made = await outcome(ann.admin.createJoinToken({ service: "reviews.default" }));
      return `${seen.slice(0, 16)} ${made.slice(0, 16)}`;
    };
    const boss = await tokenOf(AccessRole.ADMIN);
    expect(await may(boss.token)).toBe("ok ok");
    expect(await may((await tokenOf(AccessRole.OPERATOR)).token)).toBe("ok PermissionDenied");
    expect(await may((await tokenOf(AccessRole.VIEWER)).token)).toBe("ok PermissionDenied");
    expect(await may(`${boss.token}x`)).toBe("Unauthenticated: Unauthenticated:");
    await admin.revokeAccessToken({ id: boss.id });
    expect(await may(boss.token)).toBe("Unauthenticated: Unauthenticated:");
    const made = one.audit.find(({ action }) => action === "join token created");
    expect(made).toMatchObject({ who: "ann", allowed: true });
  });

  test("are needed by workloads as by anybody", async () => {
    const one = await open();
    const shown = await join(one, (await newToken(one)).token);
    const { admin } = one.remote(shown);
    expect(await outcome(admin.listJoinTokens({}))).toStartWith("PermissionDenied");
    expect(await outcome(admin.rotateRoot({}))).toStartWith("PermissionDenied");
  });
});

describe("administration refuses", () => {
  const rows: readonly (readonly [string, (one: IdentityManager) => Promise<unknown>, string])[] = [
    ["a token for nobody", ({ local }) => local.admin.createJoinToken({}), "InvalidArgument"],
    [
      "a token for no name",
      ({ local }) => local.admin.createJoinToken({ service: "a b" }),
      "InvalidArgument",
    ],
    [
      "an account of another namespace",
      ({ local }) => local.admin.createJoinToken({ service: "a.b", serviceAccount: "c/d" }),
      "InvalidArgument",
    ],
    [
      "a token for years",
      ({ local }) => local.admin.createJoinToken({ service: "a", lifetimeSeconds: 1e9 }),
      "InvalidArgument",
    ],
    ["an unknown id", ({ local }) => local.admin.revokeJoinToken({ id: "x" }), "NotFound"],
    ["an unknown id", ({ local }) => local.admin.revokeAccessToken({ id: "x" }), "NotFound"],
    [
      "no role",
      ({ local }) => local.admin.createAccessToken({ name: "ann" }),
      "InvalidArgument: role",
    ],
    [
      "no name",
      ({ local }) => local.admin.createAccessToken({ name: "", role: AccessRole.ADMIN }),
      "InvalidArgument: name",
    ],
  ];
  test.each(rows)("%s", async (_, ask, expected) => {
    expect(await outcome(ask(await open()))).toStartWith(expected);
  });
});

function signingRequest(): { readonly csrPem: string } {
  return { csrPem: signingRequestPem() };
}

function named(...names: readonly Buffer[]): { readonly csrPem: string } {
  return { csrPem: signingRequestPem({ names: [names] }) };
}

async function newTokenFor({ local }: IdentityManager, lifetimeSeconds: number) {
  return await local.admin.createJoinToken({ service: "reviews.default", lifetimeSeconds });
}
