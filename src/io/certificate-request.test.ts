/** A request as an authority of others would read it. */
import { expect, test } from "bun:test";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { openssl } from "../testing/openssl.ts";
import { createCertificateRequest } from "./certificate-request.ts";

test("openssl takes it, with the identity as its only name", async () => {
  const { csrPem, keyPem } = await createCertificateRequest("spiffe://cluster.local/ns/a/sa/b");
  const args = ["req", "-in", "request.pem", "-noout", "-verify", "-text"];
  const { code, text } = openssl(args, { "request.pem": csrPem });
  expect(code).toBe(0);
  expect(text).toContain("verify OK");
  expect(text.match(/(URI|DNS|IP Address):\S+/g)).toEqual(["URI:spiffe://cluster.local/ns/a/sa/b"]);
  const key = createPublicKey(createPrivateKey(keyPem));
  const pem = key.export({ type: "spki", format: "pem" }).toString();
  const shown = openssl(["req", "-in", "request.pem", "-noout", "-pubkey"], {
    "request.pem": csrPem,
  });
  expect(shown.text).toBe(pem);
});

test("an identity need not be named, and every key is a new one", async () => {
  const [one, other] = [await createCertificateRequest(""), await createCertificateRequest("")];
  const { code, text } = openssl(["req", "-in", "request.pem", "-noout", "-verify", "-text"], {
    "request.pem": one.csrPem,
  });
  expect(code).toBe(0);
  expect(text).not.toContain("Alternative");
  expect(one.keyPem).not.toBe(other.keyPem);
});
