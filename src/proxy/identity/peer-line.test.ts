/** Whom an application is told of: nobody who has not proved it. */
import { expect, test } from "bun:test";
import type { TlsFacts } from "../../io/tls-facts.ts";
import { idOf } from "../../testing/mesh-member.ts";
import { peerLine } from "./peer-line.ts";

function facts(verified: boolean | undefined): TlsFacts {
  const names = { dns: [], uris: [idOf("web")], uriCount: 1, addresses: [] };
  const rest = { verdict: "", subject: "CN=web", sha256: "ab", notAfterMs: 0, root: "" };
  const peer = verified === undefined ? undefined : { verified, names, ...rest };
  return { version: "TLSv1.3", cipher: "", protocol: "mesh-h2", serverName: "", peer };
}

test("a peer that has proved who it is, once for each connection", () => {
  const tls = facts(true);
  const line = Buffer.from(peerLine(tls)!).toString();
  expect(line).toBe(`x-forwarded-client-cert: Hash=ab;Subject="CN=web";URI=${idOf("web")}\r\n`);
  expect(peerLine(tls)).toBe(peerLine(tls)!);
});

test.each([
  ["in plaintext", undefined],
  ["without a certificate", facts(undefined)],
  ["whose certificate is not good", facts(false)],
] as const)("nobody %s", (_, tls) => {
  expect(peerLine(tls)).toBeUndefined();
});
