/** Certificates as other people's software judges them. */
import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { openssl } from "../../testing/openssl.ts";
import { issuerNameOf, keyIdOf } from "./certificate-fields.ts";
import {
  type CertificateTemplate,
  canSign,
  issueCertificate,
  publicKeyOf,
  selfSign,
  subjectName,
} from "./certificate-issue.ts";
import type { AlternativeName } from "./subject-alt-name.ts";

const HOUR_MS = 3_600_000;
const nowMs = Date.now();
const times = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + HOUR_MS };
const uri = "spiffe://cluster.local/ns/default/sa/reviews";

const newKey = (): KeyObject => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

function root(key: KeyObject, name = "Mesh root") {
  const publicKey = publicKeyOf(key);
  const authority = subjectName("cluster.local", name);
  const { pem } = selfSign({ ...times, publicKey, authority }, key);
  return { pem, issuer: { name: authority, keyId: keyIdOf(publicKey), key } };
}

function leaf(names: readonly AlternativeName[] = [{ kind: "uri", value: uri }]) {
  return { ...times, publicKey: publicKeyOf(newKey()), names } satisfies CertificateTemplate;
}

function verify(leafPem: string, rootPem: string, purpose: string) {
  const files = { "leaf.pem": leafPem, "root.pem": rootPem };
  const args = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "root.pem", "leaf.pem"];
  return openssl(args, files);
}

describe("openssl verify -x509_strict is content", () => {
  const keys: readonly (readonly [string, KeyObject])[] = [
    ["P-256", newKey()],
    ["P-384", generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
    ["RSA", generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey],
  ];
  test.each(keys)("with a root of %s, as client and as server", (_, key) => {
    const { pem, issuer } = root(key);
    const certificate = issueCertificate(leaf(), issuer).pem;
    for (const purpose of ["sslclient", "sslserver"])
      expect(verify(certificate, pem, purpose)).toMatchObject({ code: 0 });
  });

  test("with times beyond 2049", () => {
    const key = newKey();
    const publicKey = publicKeyOf(key);
    const authority = subjectName("cluster.local", "Mesh root");
    const notAfterMs = Date.UTC(2060, 0, 1);
    const { pem } = selfSign({ ...times, notAfterMs, publicKey, authority }, key);
    expect(new X509Certificate(pem).validToDate.getTime()).toBe(notAfterMs);
    const issuer = { name: authority, keyId: keyIdOf(publicKey), key };
    expect(verify(issueCertificate(leaf(), issuer).pem, pem, "sslserver")).toMatchObject({
      code: 0,
    });
  });

  test("with a root that another root vouches for", () => {
    const [former, key] = [root(newKey(), "Former"), newKey()];
    const next = root(key, "Next");
    const template = { ...times, publicKey: publicKeyOf(key), authority: next.issuer.name };
    const above = issueCertificate(template, former.issuer).pem;
    const certificate = issueCertificate(leaf(), next.issuer).pem;
    const files = { "leaf.pem": certificate, "above.pem": above, "root.pem": former.pem };
    const args = ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "above.pem"];
    expect(openssl([...args, "leaf.pem"], files)).toMatchObject({ code: 0 });
    expect(verify(certificate, next.pem, "sslclient")).toMatchObject({ code: 0 });
    expect(verify(certificate, former.pem, "sslclient").code).not.toBe(0);
  });
});

test("a leaf has its identity and nothing else that could be taken for one", () => {
  const { issuer } = root(newKey());
  const issued = issueCertificate(leaf(), issuer);
  const certificate = new X509Certificate(issued.pem);
  expect(certificate.subjectAltName).toBe(`URI:${uri}`);
  expect(certificate.ca).toBe(false);
  expect(certificate.subject ?? "").toBe("");
  expect(certificate.keyUsage?.toSorted()).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  expect(certificate.serialNumber.toLowerCase()).toBe(issued.serial);
  const text = openssl(["x509", "-in", "leaf.pem", "-noout", "-text"], {
    "leaf.pem": issued.pem,
  }).text;
  expect(text).toContain("Subject Alternative Name: critical");
  expect(text).toContain("Digital Signature");
  expect(text).not.toContain("Certificate Sign");
});

test("a leaf cannot sign", () => {
  const { pem, issuer } = root(newKey());
  const key = newKey();
  const middle = issueCertificate({ ...leaf(), publicKey: publicKeyOf(key) }, issuer).pem;
  const name = issuerNameOf(new X509Certificate(middle));
  const below = issueCertificate(leaf(), { ...name!, key }).pem;
  const files = { "leaf.pem": below, "middle.pem": middle, "root.pem": pem };
  const args = ["verify", "-CAfile", "root.pem", "-untrusted", "middle.pem", "leaf.pem"];
  expect(openssl(args, files).code).not.toBe(0);
});

test("names of the manager's own certificate are of every kind", () => {
  const names: readonly AlternativeName[] = [
    { kind: "uri", value: uri },
    { kind: "dns", value: "mesh.example.com" },
    { kind: "ip", value: "10.0.0.1" },
    { kind: "ip", value: "2001:db8::1" },
    { kind: "ip", value: "no address" },
  ];
  const { pem } = issueCertificate(leaf(names), root(newKey()).issuer);
  expect(new X509Certificate(pem).subjectAltName).toBe(
    `URI:${uri}, DNS:mesh.example.com, IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1`,
  );
});

test("serial numbers are positive, long, and never the same", () => {
  const { issuer } = root(newKey());
  const serials = Array.from({ length: 200 }, () => issueCertificate(leaf(), issuer).serial);
  expect(new Set(serials).size).toBe(200);
  for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/);
});

test("name and key identifier of an authority are found in its certificate", () => {
  const { pem, issuer } = root(newKey());
  const found = issuerNameOf(new X509Certificate(pem));
  expect(found?.name.equals(issuer.name)).toBe(true);
  expect(found?.keyId.equals(issuer.keyId)).toBe(true);
});

test("keys that most would refuse sign nothing", () => {
  const { privateKey: weak } = generateKeyPairSync("rsa", { modulusLength: 1_024 });
  const { privateKey: edwards } = generateKeyPairSync("ed25519");
  expect([weak, edwards, newKey()].map(canSign)).toEqual([false, false, true]);
});
