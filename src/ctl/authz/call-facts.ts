/** What is said of a call on a command line, as rules of authorization ask for it. */
import { parseShortestIpAddress } from "../../attribute/ip-address.ts";
import {
  type AuthorizationFacts,
  hostOf,
  principalParts,
} from "../../policy/authorization/facts.ts";
import type { VerifiedToken } from "../../policy/jwt/verified-token.ts";
import { usageError } from "../command.ts";
import type { CallSource } from "./source.ts";

export interface CallWords {
  /** "TCP": a connection. */
  readonly method: string;
  /** A query is left out, as rules do not see it. */
  readonly path: string;
  readonly host: string;
  readonly port: number;
  /** "": as the source says. */
  readonly address: string;
  readonly serverName: string;
  /** "name=value" */
  readonly headers: readonly string[];
  /** "name=value", "realm.roles=admin"; of one name several: a list. */
  readonly claims: readonly string[];
}

const UNKNOWN_ADDRESS = "127.0.0.1";

export function callFacts(source: CallSource, words: CallWords): AuthorizationFacts {
  const { principal } = source;
  const address = parseShortestIpAddress(words.address || source.address || UNKNOWN_ADDRESS);
  const headers = new Map(
    words.headers.map((one) => pairOf(one, "--header")).map(([k, v]) => [k.toLowerCase(), v]),
  );
  const isTcp = words.method === "TCP";
  const authority = isTcp ? "" : words.host.toLowerCase();
  return {
    principal,
    ...principalParts(principal),
    sourceIp: address,
    remoteIp: address,
    destinationIp: undefined,
    destinationPort: words.port,
    serverName: words.serverName,
    authority,
    host: hostOf(authority),
    method: isTcp ? "" : words.method,
    path: isTcp ? "" : normalPath(words.path),
    header: (name) => headers.get(name),
    token: tokenOf(words.claims),
  };
}

/** As a URL has it: dot segments are gone. */
function normalPath(path: string): string {
  const [bare = "/"] = path.split("?");
  if (!bare.startsWith("/")) throw usageError(`a path begins with /: ${bare}`);
  return new URL(`http://x${bare.startsWith("//") ? `/.${bare}` : bare}`).pathname;
}

function pairOf(written: string, flag: string): readonly [string, string] {
  const at = written.indexOf("=");
  if (at < 1) throw usageError(`${flag} is name=value, not ${written}`);
  return [written.slice(0, at), written.slice(at + 1)];
}

/** Undefined: there is none. */
function tokenOf(claims: readonly string[]): VerifiedToken | undefined {
  if (claims.length === 0) return undefined;
  const all: Record<string, unknown> = Object.create(null);
  for (const [name, value] of claims.map((one) => pairOf(one, "--claim"))) {
    const path = name.split(".");
    const last = path.pop()!;
    let at = all;
    for (const one of path) {
      const inner = at[one];
      const next = isClaims(inner) ? inner : (Object.create(null) as Record<string, unknown>);
      at[one] = next;
      at = next;
    }
    const before = at[last];
    at[last] = before === undefined ? value : [before, value].flat();
  }
  return verified(all);
}

function isClaims(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function verified(claims: Readonly<Record<string, unknown>>): VerifiedToken {
  const text = (name: string): string => (typeof claims[name] === "string" ? claims[name] : "");
  const [issuer, subject] = [text("iss"), text("sub")];
  const { aud = [] } = claims;
  return {
    ...{ issuer, subject, presenter: text("azp"), claims, payload: "" },
    principal: issuer !== "" && subject !== "" ? `${issuer}/${subject}` : "",
    audiences: [aud].flat().map(String),
    spaceDelimited: ["scope", "permission"],
    expiresMs: Number.POSITIVE_INFINITY,
  };
}
