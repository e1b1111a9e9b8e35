/**
 * Who a caller is, from what his connection and his request show. What is shown has to be good: a
 * bad token is nobody's, even on a connection that would have been somebody's without it.
 *
 *   authorization ─▶ access token ─▶ person
 *   cookie        ─▶ access token ─▶ person, who only reads: a browser sends it by itself
 *   TLS           ─▶ certificate  ─▶ workload, or a person where the operator says so
 *   plaintext     ─▶ whose process ─▶ local
 *
 * Asked for each request: a certificate ends in the middle of a connection, and roots are replaced.
 */
import type { Identify, Peer, ShownCertificate, ShownCredentials } from "../../api/peer.ts";
import type { PeerCertificate, Principal, Role } from "../../api/principal.ts";
import { parseSpiffeId } from "../../core/spiffe-id.ts";
import type { AccessTokens } from "./credential.ts";

export interface AuthenticateOptions {
  /** The time of day. */
  readonly wallMs: () => number;
  /** Users whose processes may do on loopback what they could do to our files anyway. */
  readonly uids: ReadonlySet<number>;
  readonly tokens: AccessTokens;
  /** Our own and its aliases. */
  readonly trustDomains: () => readonly string[];
  /** SHA-256 of those that are trusted now. */
  readonly roots: () => ReadonlySet<string>;
  /** Why a certificate counts no more though all of that is right; undefined: it does. */
  readonly lapseOf: (certificate: PeerCertificate) => string | undefined;
  /** By SPIFFE id: whose certificate is a person's. */
  readonly roles: ReadonlyMap<string, Role>;
}

/** Begins every access token. */
export const ACCESS_TOKEN_PREFIX = "mesh-access";
export const SESSION_COOKIE = "mesh-session";
const TOKEN_CHARACTERS_MAX = 512;

export function authenticator(options: AuthenticateOptions): Identify {
  return (peer, shown) => {
    const again = (): Principal => fromRequest(shown, options) ?? fromConnection(peer, options);
    return { principal: again(), address: peer.address, again };
  };
}

/** Undefined: the request shows nothing. */
function fromRequest(
  { authorization, cookie }: ShownCredentials,
  { tokens }: AuthenticateOptions,
): Principal | undefined {
  if (authorization !== undefined) {
    const token = /^Bearer +([!-~]+)$/i.exec(authorization)?.[1];
    const person = token === undefined ? undefined : personOf(token, tokens);
    return person ?? nobody("the authorization is no access token in force");
  }
  const token = cookie === undefined ? undefined : cookieValue(cookie, SESSION_COOKIE);
  if (token === undefined) return undefined;
  const person = personOf(token, tokens);
  return person === undefined
    ? nobody("the session's access token is not in force")
    : { ...person, role: "viewer" };
}

function personOf(token: string, tokens: AccessTokens) {
  if (!token.startsWith(ACCESS_TOKEN_PREFIX) || token.length > TOKEN_CHARACTERS_MAX)
    return undefined;
  const found = tokens.find(token);
  if (found === undefined) return undefined;
  return { kind: "person", name: found.name, role: found.role } as const;
}

/** The first of a name, as browsers send the most specific one first (RFC 6265 5.4). */
export function cookieValue(header: string, name: string): string | undefined {
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals !== -1 && pair.slice(0, equals).trim() === name)
      return pair.slice(equals + 1).trim();
  }
  return undefined;
}

function fromConnection(peer: Peer, options: AuthenticateOptions): Principal {
  if (peer.at === "plaintext") {
    const { uid } = peer;
    if (uid === undefined) return nobody("whose process calls is not known");
    return options.uids.has(uid) ? { kind: "local", uid } : nobody(`a process of user ${uid}`);
  }
  if (peer.certificate === undefined) return nobody("no certificate, and no access token");
  return fromCertificate(peer.certificate, options);
}

function fromCertificate(shown: ShownCertificate, options: AuthenticateOptions): Principal {
  const { verdict, names, serial, sha256, notAfterMs, notBeforeMs, root } = shown;
  const now = options.wallMs();
  if (verdict !== "") return nobody(`the certificate is not good: ${verdict}`);
  if (now >= notAfterMs) return nobody("the certificate has expired");
  if (now < notBeforeMs) return nobody("the certificate is not in force yet");
  if (!options.roots().has(root)) return nobody("the certificate's root is trusted no more");
  const [identity] = names.uris;
  const { uriCount } = names;
  if (uriCount !== 1 || identity === undefined || names.uris.length !== 1)
    return nobody(`the certificate is for ${uriCount} URIs, or for one that is none`);
  const id = parseSpiffeId(identity);
  if (id === undefined) return nobody("the certificate is for no workload");
  if (!options.trustDomains().includes(id.trustDomain))
    return nobody(`the certificate is of trust domain ${id.trustDomain}`);
  const certificate = { serial, sha256, notAfterMs, root };
  const role = options.roles.get(identity);
  // What a workload's counts for, each call asks: with a new token it may come back.
  if (role === undefined) return { kind: "workload", identity, certificate };
  const lapse = options.lapseOf(certificate);
  return lapse === undefined ? { kind: "person", name: identity, role } : nobody(lapse);
}

function nobody(reason: string): Principal {
  return { kind: "anonymous", reason };
}
