/** Whose certificates are believed by whom, as a workload asks it of its own. */
import { expect, test } from "bun:test";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { leadsToRoot } from "./chain-root.ts";

const root = new CertificateAuthority();
/** Of the same name, and not the same. */
const namesake = new CertificateAuthority();
const middle = new CertificateAuthority("Middle", root);
const lower = new CertificateAuthority("Lower", middle);
const leaf = root.issue({ name: "web" }).chain;
const deep = lower.issue({ name: "web" }).chain;
const [deepLeaf = "", lowerPem = "", middlePem = ""] =
  deep.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? [];

const rows: readonly (readonly [
  what: string,
  chain: string,
  roots: readonly string[],
  leads: boolean,
])[] = [
  ["a root that signed it", leaf, [root.certificate], true],
  ["one of several", leaf, [namesake.certificate, root.certificate], true],
  ["several in one text", leaf, [namesake.certificate + root.certificate], true],
  ["a root of the same name with another key", leaf, [namesake.certificate], false],
  ["no root", leaf, [], false],
  ["a root above the chain", deep, [root.certificate], true],
  ["an authority in its midst", deep, [middle.certificate], true],
  ["its lowest authority", deep, [lower.certificate], true],
  ["a chain in disorder", deepLeaf + middlePem + lowerPem, [root.certificate], true],
  ["a chain with a gap", deepLeaf + middlePem, [root.certificate], false],
  ["a chain that lacks its leaf's signer, below a root", deepLeaf, [root.certificate], false],
  [
    "a stranger's chain with our authority behind it",
    namesake.issue({ name: "x" }).chain + lowerPem + middlePem,
    [root.certificate],
    false,
  ],
  ["nothing", "", [root.certificate], false],
  [
    "a root that is no certificate",
    leaf,
    ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
    false,
  ],
];

test.each(rows)("%s", (_, chain, roots, leads) => {
  expect(leadsToRoot(chain, roots)).toBe(leads);
});
