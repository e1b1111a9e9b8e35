/** Tables of SPIFFE ids, and of the names in requests for certificates. */
import {
  formatSpiffeId,
  inTrustDomains,
  isIdSegment,
  parseSpiffeId,
  trustDomainOf,
} from "../../core/spiffe-id.ts";
import { decodeSigningRequest } from "../../manager/identity/signing-request.ts";
import {
  type AlternativeName,
  decodeSubjectAltName,
  encodeSubjectAltName,
} from "../../manager/identity/subject-alt-name.ts";
import { signingRequestDer } from "../../testing/signing-request.ts";

type Row = Readonly<Record<string, unknown>>;
type Verdict = string | undefined | { readonly departs: string };

/** As the original numbers them. */
const KINDS = ["dns", "ip", "uri"] as const;
const SPIFFE = "istio-master__pkg_spiffe_spiffe_test";
const SAN = "istio-master__security_pkg_pki_util_san_test";

/** By file and test; what is wrong with a row, or why it is not judged. */
export const identityJudges: Readonly<Record<string, (row: Row) => Verdict>> = {
  [`${SPIFFE} TestGenSpiffeURI`]: ({
    namespace = "",
    serviceAccount = "",
    trustDomain = "",
    expectedURI = "",
  }) => {
    const [ns, account] = [String(namespace), String(serviceAccount)];
    const id = { trustDomain: trustDomainOf(String(trustDomain)), namespace: ns, account };
    const uri = isIdSegment(ns) && isIdSegment(account) ? formatSpiffeId(id) : "";
    return differ(expectedURI, uri);
  },
  [`${SPIFFE} TestExpandWithTrustDomains`]: ({ spiffeURI, trustDomains, want }) => {
    const given = inTrustDomains(textsOf(spiffeURI), textsOf(trustDomains));
    return differ(Object.keys(want as Row).toSorted(), [...given].toSorted());
  },
  [`${SPIFFE} TestIdentity`]: ({ input, expected }) => {
    const id = parseSpiffeId(String(input));
    if (/\/ns\/\/|\/sa\/$/.test(String(input)) && expected !== null && id === undefined)
      return { departs: "a segment without a name is no id (SPIFFE-ID 2.2)" };
    const { trustDomain, namespace, account: serviceAccount } = id ?? {};
    return differ(expected, id === undefined ? null : { trustDomain, namespace, serviceAccount });
  },
  [`${SAN} TestBuildAndExtractIdentities`]: ({ Type, Value }) => {
    const name = { kind: KINDS[Number(Type)] ?? "other", value: String(Value) } as AlternativeName;
    return differ([name], decodeSubjectAltName(encodeSubjectAltName([name])));
  },
  [`${SAN} TestExtractIDsFromSANWithError`]: ({ ext }) => differ(null, namesOf([ext])),
  // An extension without content is found, and then cannot be read.
  [`${SAN} TestExtractSANExtension`]: ({ exts, found }) =>
    differ(found, requestWith(exts).at === "refused"),
  [`${SAN} TestExtractIDs`]: ({ exts, expectedIDs }) => differ(expectedIDs, namesOf(exts)),
};

/** Null: none. */
function namesOf(extensions: unknown): readonly string[] | null {
  const read = requestWith(extensions);
  if (read.at === "refused" || read.request.names.length === 0) return null;
  return read.request.names.map(({ value }) => value);
}

function requestWith(extensions: unknown) {
  const list = Array.isArray(extensions) ? (extensions as readonly Row[]) : [];
  return decodeSigningRequest(
    signingRequestDer({
      extensions: list.map(({ id, value = "" }) => [oidOf(id as Row), Buffer.from(String(value))]),
    }),
  );
}

/** {"0": 2, "1": 5, "2": 29, "3": 17} as "551d11"; arcs below 128. */
function oidOf(arcs: Row): string {
  const [first = 0, second = 0, ...others] = Object.values(arcs).map(Number);
  return Buffer.of(first * 40 + second, ...others).toString("hex");
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function differ(wanted: unknown, given: unknown): string | undefined {
  if (Bun.deepEquals(wanted, given)) return undefined;
  return `${JSON.stringify(given)}, not ${JSON.stringify(wanted)}`;
}
