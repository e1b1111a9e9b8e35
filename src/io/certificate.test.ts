/** What of an operator's PEM files is taken, and where the problems are said to be. */
import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { formatProblem, type Problem } from "../core/problem.ts";
import { CertificateAuthority, type CertificateRequest } from "../testing/certificate-authority.ts";
import { type Judged, parsePair, parseTrustBundle } from "./certificate.ts";
import { CertificateStore } from "./certificate-store.ts";

const NOW_MS = Date.UTC(2026, 6, 1);
const DAY_MS = 86_400_000;
const times = { fromMs: NOW_MS - DAY_MS, untilMs: NOW_MS + DAY_MS };
const root = new CertificateAuthority("Root");
const middle = new CertificateAuthority("Middle", root);
const issue = (request: Partial<CertificateRequest> = {}) =>
  middle.issue({ name: "web", for: ["DNS:web.example"], ...times, ...request });
const web = issue();

const pairOf = (certificate: string, key: string) => ({
  certificate: { file: "web.crt", text: certificate },
  key: { file: "web.key", text: key },
});
const said = ({ problems }: Judged<unknown>): string[] =>
  problems.map((p: Problem) => formatProblem(p));

test("a chain and its key: names, times and the hash are known", () => {
  const names = [
    "DNS:Web.example",
    "DNS:*.web.example",
    "URI:spiffe://mesh/ns/a/sa/web",
    "IP:10.0.0.1",
  ];
  const { chain, key } = issue({ for: names });
  const { value, problems } = parsePair(pairOf(`subject=CN = web\n${chain}`, key), NOW_MS);
  expect(problems).toEqual([]);
  expect(value).toMatchObject({
    file: "web.crt",
    names: ["web.example", "*.web.example"],
    uris: ["spiffe://mesh/ns/a/sa/web"],
    subject: "CN=web",
    notBeforeMs: times.fromMs,
    notAfterMs: times.untilMs,
    chainPem: chain,
    keyPem: key,
  });
  expect(value!.sha256).toMatch(/^[0-9a-f]{64}$/);
});

test("one file may hold the chain and the key", () => {
  const both = web.key + web.chain;
  expect(parsePair(pairOf(both, both), NOW_MS).value?.chainPem).toBe(web.chain);
});

const rsa = (bits: number): string =>
  generateKeyPairSync("rsa", {
    modulusLength: bits,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  }).privateKey;
const encrypted = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
}).privateKey;
const [first = "", second = ""] = web.chain.split(/(?<=-----END CERTIFICATE-----\n)/);
const lines = first.split("\n").length - 1;
const pemOf = (label: string, body: string): string =>
  `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
const broken = first.replace(/\n[A-Za-z0-9+/=]+\n/, "\nAAAA\n");

test.each([
  ["an empty file", "", web.key, ["web.crt: there is no CERTIFICATE in PEM form in it"]],
  ["a key in its place", web.key, web.key, ["web.crt: there is no CERTIFICATE in PEM form in it"]],
  ["no key", web.chain, web.chain, ["web.key: there is no PRIVATE KEY in PEM form in it"]],
  [
    "both wrong: both are said",
    "",
    "",
    [
      "web.crt: there is no CERTIFICATE in PEM form in it",
      "web.key: there is no PRIVATE KEY in PEM form in it",
    ],
  ],
  [
    "the key of another",
    web.chain,
    `\n${issue().key}`,
    ["web.key:2:1: the key does not belong to the certificate in web.crt"],
  ],
  [
    "an RSA key for a P-256 certificate",
    web.chain,
    rsa(2_048),
    ["web.key:1:1: the key does not belong to the certificate in web.crt"],
  ],
  ["two keys", web.chain, web.key + web.key, ["web.key:6:1: there is more than one key in it"]],
  [
    "an encrypted key",
    web.chain,
    encrypted,
    ["web.key:1:1: the key is encrypted; nobody is there to type its passphrase"],
  ],
  [
    "an encrypted key of the old kind",
    web.chain,
    pemOf("EC PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nAAAA"),
    ["web.key:1:1: the key is encrypted; nobody is there to type its passphrase"],
  ],
  [
    "a key that is no key",
    web.chain,
    pemOf("PRIVATE KEY", "AAAA"),
    ["web.key:1:1: this key cannot be read: decode error"],
  ],
  [
    "half a file, as after a full disk",
    first.slice(0, 200),
    web.key,
    ["web.crt:1:1: the end of this CERTIFICATE is missing"],
  ],
  [
    "a marker inside another",
    `${first}-----BEGIN CERTIFICATE-----\n${second}`,
    web.key,
    [`web.crt:${lines + 2}:1: this marker is out of place: -----BEGIN CERTIFICATE-----`],
  ],
  [
    "an end of something else",
    first.replace("END CERTIFICATE", "END X509 CRL"),
    web.key,
    [`web.crt:${lines}:1: this marker is out of place: -----END X509 CRL-----`],
  ],
])("refused, with the place: %s", (_what, certificate, key, problems) => {
  const judged = parsePair(pairOf(certificate, key), NOW_MS);
  expect(said(judged)).toEqual(problems);
  expect(judged.value).toBeUndefined();
});

test("a certificate that cannot be read is refused, wherever it stands in the chain", () => {
  for (const [text, line] of [
    [broken, 1],
    [first + broken, lines + 1],
  ] as const) {
    const judged = parsePair(pairOf(text, web.key), NOW_MS);
    expect(judged.value).toBeUndefined();
    expect(said(judged)[0]).toStartWith(`web.crt:${line}:1: this certificate cannot be read: `);
  }
});

test("an expired certificate is refused, one of tomorrow is taken with a warning", () => {
  const expired = issue({ untilMs: NOW_MS });
  const judged = parsePair(pairOf(expired.chain, expired.key), NOW_MS);
  expect(said(judged)).toEqual([
    "web.crt:1:1: the certificate expired at 2026-07-01T00:00:00.000Z",
  ]);
  expect(judged.value).toBeUndefined();
  const early = issue({ fromMs: NOW_MS + 1_000 });
  const taken = parsePair(pairOf(early.chain, early.key), NOW_MS);
  expect(said(taken)).toEqual([
    "web.crt:1:1: warning: the certificate is not in force before 2026-07-01T00:00:01.000Z",
  ]);
  expect(taken.value).toBeDefined();
});

test("taken with a warning: no name, a name nobody can ask for, a chain in the wrong order", () => {
  const nobody = middle.issue({ name: "x", ...times });
  expect(said(parsePair(pairOf(nobody.chain, nobody.key), NOW_MS))).toEqual([
    "web.crt:1:1: warning: the certificate is for no name (subjectAltName); clients will refuse it",
  ]);
  const odd = issue({ for: ["DNS:*.com", "DNS:a.b"] });
  const judged = parsePair(pairOf(odd.chain, odd.key), NOW_MS);
  expect(said(judged)).toEqual([`web.crt:1:1: warning: nobody can ask for its name "*.com"`]);
  expect(judged.value!.names).toEqual(["a.b"]);
  const wrong = first + root.certificate;
  expect(said(parsePair(pairOf(wrong, web.key), NOW_MS))).toEqual([
    `web.crt:${lines + 1}:1: warning: CN=Root did not issue the certificate before it`,
  ]);
});

test("a bundle of roots leaves out what cannot be one, and is refused when nothing is left", () => {
  const bundle = (text: string) => parseTrustBundle({ file: "ca.pem", text }, Date.now());
  expect(bundle(root.certificate + middle.certificate).value?.count).toBe(2);
  const mixed = bundle(web.chain);
  expect(mixed.value).toMatchObject({ file: "ca.pem", pem: middle.certificate, count: 1 });
  expect(said(mixed)).toEqual([
    "ca.pem:1:1: warning: the certificate of CN=web is not one of an authority " +
      "(CA:TRUE is missing); it is left out",
  ]);
  const later = parseTrustBundle(
    { file: "ca.pem", text: root.certificate },
    Date.now() + 2 * DAY_MS,
  );
  expect(later.value).toBeUndefined();
  expect(said(later)[0]).toMatch(/^ca.pem:1:1: warning: the certificate of CN=Root expired at /);
  expect(said(later)[1]).toBe("ca.pem: no root to trust is left");
  expect(said(bundle(broken))[0]).toStartWith("ca.pem:1:1: this certificate cannot be read");
  expect(said(bundle(""))).toEqual(["ca.pem: there is no CERTIFICATE in PEM form in it"]);
});

test("a store finds the very name, else a wildcard of one label, else says nobody", () => {
  const of = (...names: string[]) => {
    const { chain, key } = issue({ for: names.map((name) => `DNS:${name}`) });
    return parsePair(pairOf(chain, key), NOW_MS).value!;
  };
  const store = new CertificateStore();
  expect(store.default).toBeUndefined();
  expect(store.earliestExpiryMs).toBe(Number.POSITIVE_INFINITY);
  const [one, two, three] = [
    of("a.example"),
    of("*.example.org", "b.example.org"),
    of("a.example", "b.example.org"),
  ];
  store.publish([one, two, three]);
  expect(store.default).toBe(one);
  expect(store.find("a.example")).toBe(one);
  expect(store.find("b.example.org")).toBe(two);
  expect(store.find("c.example.org")).toBe(two);
  expect(store.find("d.c.example.org")).toBeUndefined();
  expect(store.find("example.org")).toBeUndefined();
  expect(store.find("")).toBeUndefined();
  expect(store.earliestExpiryMs).toBe(times.untilMs);
});

test("a pair set in memory replaces the former, and a bad one leaves it", () => {
  const store = new CertificateStore();
  expect(store.set(pairOf(web.chain, web.key), NOW_MS)).toEqual([]);
  const before = store.default;
  expect(store.set(pairOf(web.chain, ""), NOW_MS)).toHaveLength(1);
  expect(store.default).toBe(before!);
  const next = issue();
  store.set(pairOf(next.chain, next.key), NOW_MS);
  expect(store.certificates).toHaveLength(1);
  expect(store.default!.keyPem).toBe(next.key);
});
