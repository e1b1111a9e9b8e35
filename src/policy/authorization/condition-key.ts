/** What `when` of a rule may ask about: "request.headers[x-token]", "source.ip", and so on. */
import { claimTexts } from "../jwt/verified-token.ts";
import type { AuthorizationFacts } from "./facts.ts";

type Read<T> = (facts: AuthorizationFacts) => T;

export type ConditionKey = {
  /** A connection that is passed on as it is has none. */
  readonly isOfRequest: boolean;
} & (
  | { readonly at: "text" | "principal"; readonly read: Read<string> }
  | { readonly at: "address"; readonly read: Read<Uint8Array | undefined> }
  | { readonly at: "port" }
  | { readonly at: "header"; readonly name: string; readonly read: Read<string | undefined> }
  | { readonly at: "claim"; readonly read: Read<readonly string[] | undefined> }
  /** Of a filter that there is none of here: never there. */
  | { readonly at: "unknown" }
);

const EXPERIMENTAL = "experimental.envoy.filters.";

const plain: Readonly<Record<string, ConditionKey>> = {
  "source.ip": { at: "address", isOfRequest: false, read: ({ sourceIp }) => sourceIp },
  "remote.ip": { at: "address", isOfRequest: false, read: ({ remoteIp }) => remoteIp },
  "source.namespace": { at: "text", isOfRequest: false, read: ({ namespace }) => namespace },
  "source.serviceAccount": {
    at: "text",
    isOfRequest: false,
    read: ({ serviceAccount }) => serviceAccount,
  },
  "source.principal": { at: "principal", isOfRequest: false, read: ({ principal }) => principal },
  "source.trustDomain": { at: "text", isOfRequest: false, read: ({ trustDomain }) => trustDomain },
  "destination.ip": { at: "address", isOfRequest: false, read: (facts) => facts.destinationIp },
  "destination.port": { at: "port", isOfRequest: false },
  "connection.sni": { at: "text", isOfRequest: false, read: ({ serverName }) => serverName },
  "request.auth.principal": {
    at: "text",
    isOfRequest: true,
    read: ({ token }) => token?.principal ?? "",
  },
  "request.auth.audiences": {
    at: "claim",
    isOfRequest: true,
    read: ({ token }) => token?.audiences,
  },
  "request.auth.presenter": {
    at: "text",
    isOfRequest: true,
    read: ({ token }) => token?.presenter ?? "",
  },
};

/** Undefined: there is no such key. */
export function parseConditionKey(key: string): ConditionKey | undefined {
  if (Object.hasOwn(plain, key)) return plain[key];
  if (key.startsWith(EXPERIMENTAL)) return { at: "unknown", isOfRequest: false };
  const header = /^request\.headers\[([^[\]]+)\]$/.exec(key)?.[1]?.toLowerCase();
  if (header !== undefined)
    return { at: "header", isOfRequest: true, name: header, read: (facts) => facts.header(header) };
  const claims = /^request\.auth\.claims((?:\[[^[\]]+\])+)$/.exec(key)?.[1];
  if (claims === undefined) return undefined;
  const path = claims.slice(1, -1).split("][");
  return {
    at: "claim",
    isOfRequest: true,
    read: ({ token }) => token && claimTexts(token, path),
  };
}
