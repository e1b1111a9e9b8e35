/**
 * What rules of authorization ask about one request, or about one connection. Whoever has it makes
 * a text when it is read, and keeps it for the next rule: rules that do not read it cost nothing.
 */
import type { VerifiedToken } from "../jwt/verified-token.ts";

export interface AuthorizationFacts {
  /** Of the peer, proved: "cluster.local/ns/default/sa/web"; "": it proved none. */
  readonly principal: string;
  /** "cluster.local"; "": as above. */
  readonly trustDomain: string;
  readonly namespace: string;
  /** "default/web" */
  readonly serviceAccount: string;
  /** Of the connection: 4 octets, or 16; undefined: it has none. */
  readonly sourceIp: Uint8Array | undefined;
  /** Of the client behind proxies that are believed. */
  readonly remoteIp: Uint8Array | undefined;
  readonly destinationIp: Uint8Array | undefined;
  /** Of the workload: the application's own. */
  readonly destinationPort: number;
  /** That the client named in TLS; "": none. */
  readonly serverName: string;
  /** Host and port as they are routed by: see normalAuthority; "": it named none. */
  readonly authority: string;
  /** The same without port. */
  readonly host: string;
  readonly method: string;
  /** In its normal form, without query. */
  readonly path: string;
  /** Of a field, several joined; undefined: there is none. `name`: lower case. */
  header(name: string): string | undefined;
  readonly token: VerifiedToken | undefined;
}

/** What a connection that is passed on as it is says of requests: nothing. */
export const noRequest: Pick<
  AuthorizationFacts,
  "authority" | "host" | "method" | "path" | "header" | "token"
> = {
  authority: "",
  host: "",
  method: "",
  path: "",
  header: () => undefined,
  token: undefined,
};

/** The parts of an identity that rules name. */
export interface PrincipalParts {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const nobody: PrincipalParts = { trustDomain: "", namespace: "", serviceAccount: "" };

/** "cluster.local/ns/default/sa/web" ─▶ "cluster.local", "default", "default/web" */
export function principalParts(principal: string): PrincipalParts {
  const match = /^([^/]+)\/ns\/([^/]+)\/(?:[^/]+\/)*sa\/([^/]+)(?:\/.+)?$/.exec(principal);
  if (match === null) {
    const slash = principal.indexOf("/");
    return principal === ""
      ? nobody
      : { ...nobody, trustDomain: slash === -1 ? principal : principal.slice(0, slash) };
  }
  const [, trustDomain = "", namespace = "", account = ""] = match;
  return { trustDomain, namespace, serviceAccount: `${namespace}/${account}` };
}

/**
 * In lower case, and without the dot that may end a full name: routes go by neither, so rules that
 * did could be walked around. "Reviews.:9080" ─▶ "reviews:9080"
 */
export function normalAuthority(written: string): string {
  return written.toLowerCase().replace(/(?<=[^.])\.(?=$|:\d*$)/, "");
}

/** "reviews:9080" ─▶ "reviews"; "[::1]:80" ─▶ "[::1]" */
export function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(":");
  if (colon === -1 || authority.endsWith("]")) return authority;
  // An address without brackets is all host.
  return authority.indexOf(":") === colon || authority.charCodeAt(0) === 0x5b
    ? authority.slice(0, colon)
    : authority;
}
