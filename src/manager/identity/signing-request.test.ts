/** Requests for certificates: of honest software, and of everybody else. */
import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { der, toPem } from "../../core/der.ts";
import { createCertificateRequest } from "../../io/certificate-request.ts";
import { expectLinear } from "../../testing/growth.ts";
import { openssl } from "../../testing/openssl.ts";
import {
  dnsName,
  signingRequestDer,
  signingRequestPem,
  uriName,
} from "../../testing/signing-request.ts";
import { decodeSigningRequest, readSigningRequest } from "./signing-request.ts";

const uri = "spiffe://cluster.local/ns/default/sa/reviews";

function why(pem: string): string {
  const read = readSigningRequest(pem);
  return read.at === "refused" ? read.why : "nothing";
}

describe("taken", () => {
  test("what our proxies send", async () => {
    const read = readSigningRequest((await createCertificateRequest(uri)).csrPem);
    if (read.at === "refused") throw new Error(read.why);
    expect(read.request.names).toEqual([{ kind: "uri", value: uri }]);
    expect(read.request.commonNames).toEqual([]);
  });

  test.each([
    ["P-256", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]],
    ["P-384", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"]],
    ["RSA", ["-newkey", "rsa:2048"]],
    ["RSA with SHA-512", ["-newkey", "rsa:2048", "-sha512"]],
  ])("openssl req with %s", (_, key) => {
    const more = ["-nodes", "-keyout", "/dev/null", "-subj", "/O=Acme/CN=reviews"];
    const names = ["-addext", `subjectAltName=URI:${uri},DNS:a.example,IP:10.0.0.1,email:a@b.c`];
    const { text } = openssl(["req", "-new", ...key, ...more, ...names]);
    const read = readSigningRequest(/-----BEGIN[\s\S]+REQUEST-----\n/.exec(text)?.[0] ?? "");
    if (read.at === "refused") throw new Error(read.why);
    expect(read.request.commonNames).toEqual(["reviews"]);
    expect(read.request.names).toEqual([
      { kind: "uri", value: uri },
      { kind: "dns", value: "a.example" },
      { kind: "ip", value: "10.0.0.1" },
      { kind: "other", value: "[1]" },
    ]);
  });
});

describe("refused", () => {
  const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const good = signingRequestPem();
  const extensions = { names: [[uriName(uri)], [uriName(uri)]] };
  const rows: readonly (readonly [what: string, pem: string, why: string])[] = [
    ["nothing", "", "it is not one CERTIFICATE REQUEST in PEM form"],
    ["no PEM", "hello", "it is not one CERTIFICATE REQUEST in PEM form"],
    ["two of them", good + good, "it is not one CERTIFICATE REQUEST in PEM form"],
    ["a certificate's label", good.replaceAll(" REQUEST", ""), "it is not one CERTIFICATE REQUEST"],
    ["too much", " ".repeat(20_000) + good, "it is longer than 16384 characters"],
    ["PEM of nothing", toPem("CERTIFICATE REQUEST", Buffer.alloc(0)), "it is not one"],
    ["PEM of something", toPem("CERTIFICATE REQUEST", Buffer.from("hello")), "it is not PKCS#10"],
    [
      "something behind it",
      toPem("CERTIFICATE REQUEST", Buffer.concat([signingRequestDer(), Buffer.of(5, 0)])),
      "it is not PKCS#10",
    ],
    ["another's key", signingRequestPem({ signedBy: stranger }), "it was not signed with the key"],
    ["another hash", signingRequestPem({ hash: "sha384" }), "it was not signed with the key"],
    ["SHA-1", signingRequestPem({ hash: "sha1", algorithm: "2a8648ce3d0401" }), "of a kind that"],
    ["RSA's name", signingRequestPem({ algorithm: "2a864886f70d01010b" }), "of a kind that is not"],
    [
      "RSA of 1024 bits",
      signingRequestPem({
        key: generateKeyPairSync("rsa", { modulusLength: 1_024 }).privateKey,
        algorithm: "2a864886f70d01010b",
      }),
      "its key has to be P-256, P-384, or RSA of 2048 to 8192 bits",
    ],
    [
      "P-521",
      signingRequestPem({ key: generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey }),
      "its key has to be P-256",
    ],
    ["two extensions of names", signingRequestPem(extensions), "its subject in two extensions"],
    ["no name in the extension", signingRequestPem({ names: [[]] }), "subjectAltName cannot be"],
    ["NUL in a URI", signingRequestPem({ names: [[uriName(`${uri}\0`)]] }), "subjectAltName"],
    ["NUL in a name", signingRequestPem({ names: [[dnsName("a\0.b")]] }), "subjectAltName"],
    ["a comma's cousin", signingRequestPem({ names: [[dnsName("a b")]] }), "subjectAltName"],
    ["UTF-8 in a URI", signingRequestPem({ names: [[uriName(`${uri}ä`)]] }), "subjectAltName"],
    ["5 bytes of address", signingRequestPem({ names: [[der(0x87, Buffer.alloc(5))]] }), "subject"],
    [
      "17 names",
      signingRequestPem({ names: [Array.from({ length: 17 }, () => uriName(uri))] }),
      "subjectAltName",
    ],
    ["NUL in the subject", signingRequestPem({ commonName: Buffer.from("a\0b") }), "its subject"],
  ];

  test.each(rows)("%s", (_, pem, expected) => {
    expect(why(pem)).toContain(expected);
  });
});

test("cut anywhere, or with any byte turned over, it is refused and nothing worse", () => {
  const bytes = signingRequestDer({ names: [[uriName(uri)]], commonName: Buffer.from("reviews") });
  for (let at = 0; at < bytes.length; at++) {
    expect(decodeSigningRequest(bytes.subarray(0, at)).at).toBe("refused");
    const turned = Buffer.from(bytes);
    turned[at] = turned[at]! ^ 0xff;
    expect(decodeSigningRequest(turned).at).toBe("refused");
  }
});

test("four times as long takes at most eight times as long", () => {
  const pem = toPem("CERTIFICATE REQUEST", der(0x30, Buffer.alloc(10_000, Buffer.of(5, 0))));
  expectLinear((n) => void readSigningRequest(pem.slice(0, n)), 3_000);
});
