/** Flags of `mesh manager` that say who signs, for how long, and whose word is taken. */
import { parseDuration } from "../../attribute/duration.ts";
import { isIdSegment, isTrustDomain, trustDomainOf } from "../../core/spiffe-id.ts";

export interface IdentityFlags {
  /** "cluster.local" */
  readonly trustDomain: string;
  /** Of the operator's authority; empty: roots of our own. */
  readonly caDir: string;
  /** With the key that seals keys; empty: one in the directory below. */
  readonly caKeyFile: string;
  /** Where authority and tokens are kept; empty: where everything is. */
  readonly identityDir: string;
  readonly leafLifetimeMs: number;
  /** Names and addresses by which others reach this manager. */
  readonly advertise: readonly string[];
  readonly kubernetes: KubernetesFlags | undefined;
  readonly oidc: OidcFlags | undefined;
  /** "default/edge": accounts whose workloads may be gateways. */
  readonly gatewayAccounts: ReadonlySet<string>;
}

export interface KubernetesFlags {
  /** "https://10.96.0.1" */
  readonly api: string;
  /** PEM; empty: what the system trusts. */
  readonly caFile: string;
  /** The manager's own token, to ask with. */
  readonly tokenFile: string;
  readonly audience: string;
}

export interface OidcFlags {
  readonly issuer: string;
  readonly audience: string;
  /** Which claim says who it is. */
  readonly claim: string;
}

export const IDENTITY_HELP = `
  --trust-domain NAME of the identities that certificates are for (cluster.local)
  --ca-dir DIR        sign with the operator's authority: ca-cert.pem, ca-key.pem,
                      cert-chain.pem and root-cert.pem, or tls.crt, tls.key and ca.crt; watched
  --ca-key-file FILE  with the key that seals private keys at rest (in the directory below)
  --identity-dir DIR  where authority and tokens are kept; managers that share it are one
                      authority (the data directory)
  --leaf-lifetime D   of certificates, from 10s to 2160h (24h)
  --advertise HOST    a name or address by which others reach this manager; repeatable
  --kubernetes-api URL
                      takes tokens of ServiceAccounts, which this API server judges
  --kubernetes-ca FILE, --kubernetes-token FILE
                      its root, and our own token (those of the pod)
  --token-audience A  what such tokens, and those of an issuer, have to be for (mesh)
  --gateway-account NAMESPACE/ACCOUNT
                      whose workloads may be gateways, whatever they prove it by; repeatable
  --oidc-issuer URL   takes tokens of this issuer
  --oidc-claim NAME   which claim says whose: spiffe://…, NAMESPACE/ACCOUNT, or
                      system:serviceaccount:NAMESPACE:ACCOUNT (sub)
`;

const POD = "/var/run/secrets/kubernetes.io/serviceaccount";

export const identityOptions = {
  "trust-domain": { type: "string", default: "cluster.local" },
  "ca-dir": { type: "string", default: "" },
  "ca-key-file": { type: "string", default: "" },
  "identity-dir": { type: "string", default: "" },
  "leaf-lifetime": { type: "string", default: "24h" },
  advertise: { type: "string", multiple: true, default: [] as string[] },
  "kubernetes-api": { type: "string", default: "" },
  "kubernetes-ca": { type: "string", default: `${POD}/ca.crt` },
  "kubernetes-token": { type: "string", default: `${POD}/token` },
  "token-audience": { type: "string", default: "mesh" },
  "gateway-account": { type: "string", multiple: true, default: [] as string[] },
  "oidc-issuer": { type: "string", default: "" },
  "oidc-claim": { type: "string", default: "sub" },
} as const;

type Options = typeof identityOptions;

export type IdentityFlagValues = {
  readonly [K in keyof Options]: Options[K]["default"] extends string ? string : readonly string[];
};

const LIFETIME_MS = { least: 10_000, most: 90 * 86_400_000 };
const HOST = /^[A-Za-z0-9._:-]{1,253}$/;

/** Adds to `problems`; what it returns counts only where it added none. */
export function readIdentityFlags(given: IdentityFlagValues, problems: string[]): IdentityFlags {
  const trustDomain = trustDomainOf(given["trust-domain"]);
  if (!isTrustDomain(trustDomain))
    problems.push(`--trust-domain: ${JSON.stringify(trustDomain)} is not a trust domain`);
  const lifetimeNs = parseDuration(given["leaf-lifetime"]);
  const leafLifetimeMs = lifetimeNs === undefined ? 0 : Number(lifetimeNs) / 1e6;
  if (leafLifetimeMs < LIFETIME_MS.least || leafLifetimeMs > LIFETIME_MS.most)
    problems.push("--leaf-lifetime: from 10s to 2160h is possible, as in 12h");
  for (const host of given.advertise)
    if (!HOST.test(host))
      problems.push(`--advertise: ${JSON.stringify(host)} is neither a name nor an address`);
  for (const account of given["gateway-account"])
    if (!isAccount(account))
      problems.push(`--gateway-account: ${JSON.stringify(account)} is not NAMESPACE/ACCOUNT`);
  const urls = { kubernetes: given["kubernetes-api"], oidc: given["oidc-issuer"] };
  for (const [flag, url] of [
    ["--kubernetes-api", urls.kubernetes],
    ["--oidc-issuer", urls.oidc],
  ] as const)
    if (url !== "" && !isUrl(url))
      problems.push(`${flag}: ${JSON.stringify(url)} is not a URL of https`);
  const audience = given["token-audience"];
  if (audience === "") problems.push("--token-audience: a token for everybody proves nothing here");
  const [caFile, tokenFile] = [given["kubernetes-ca"], given["kubernetes-token"]];
  return {
    trustDomain,
    caDir: given["ca-dir"],
    caKeyFile: given["ca-key-file"],
    identityDir: given["identity-dir"],
    leafLifetimeMs,
    advertise: given.advertise,
    gatewayAccounts: new Set(given["gateway-account"]),
    kubernetes:
      urls.kubernetes === "" ? undefined : { api: urls.kubernetes, caFile, tokenFile, audience },
    oidc:
      urls.oidc === "" ? undefined : { issuer: urls.oidc, audience, claim: given["oidc-claim"] },
  };
}

function isAccount(text: string): boolean {
  const [namespace = "", account = "", ...others] = text.split("/");
  return isIdSegment(namespace) && isIdSegment(account) && others.length === 0;
}

/** In plaintext only on this machine. */
function isUrl(text: string): boolean {
  return /^(https:\/\/[^/?#]|http:\/\/(127\.|localhost[:/]|localhost$|\[::1\]))/.test(text);
}
