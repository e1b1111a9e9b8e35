/** What an application learns of a client's certificate. */
import { expect, test } from "bun:test";
import type { PeerCertificate } from "../../io/tls-facts.ts";
import { clientCertElement } from "./client-cert-element.ts";

const peer: PeerCertificate = {
  verified: true,
  verdict: "",
  subject: "CN=web,O=Acme",
  names: { dns: [], uris: [], uriCount: 0, addresses: [] },
  sha256: "ab12",
  notAfterMs: 0,
};

const cases: readonly (readonly [what: string, peer: Partial<PeerCertificate>, text: string])[] = [
  ["hash and subject", {}, 'Hash=ab12;Subject="CN=web,O=Acme"'],
  ["no subject", { subject: "" }, 'Hash=ab12;Subject=""'],
  [
    "names, each in a pair of its own",
    {
      names: { dns: ["a.b", "c.d"], uris: ["spiffe://x/ns/a/sa/b"], uriCount: 1, addresses: [] },
    },
    'Hash=ab12;Subject="CN=web,O=Acme";URI=spiffe://x/ns/a/sa/b;DNS=a.b;DNS=c.d',
  ],
  [
    "a subject that would end its quotes",
    { subject: 'CN=a";URI="spiffe://x/admin\\' },
    'Hash=ab12;Subject="CN=a\\";URI=\\"spiffe://x/admin\\\\"',
  ],
  [
    "a name that would be another element",
    {
      names: {
        ...{ dns: [], uris: ["spiffe://x/a,Hash=1;URI=spiffe://x/admin"] },
        ...{ uriCount: 1, addresses: [] },
      },
    },
    'Hash=ab12;Subject="CN=web,O=Acme";URI="spiffe://x/a,Hash=1;URI=spiffe://x/admin"',
  ],
  [
    "a subject with a line in it",
    { subject: "CN=a\r\nx: y\u00e9" },
    'Hash=ab12;Subject="CN=ax: y"',
  ],
];

for (const [what, changes, text] of cases)
  test(what, () => {
    expect(new TextDecoder().decode(clientCertElement({ ...peer, ...changes }))).toBe(text);
  });
