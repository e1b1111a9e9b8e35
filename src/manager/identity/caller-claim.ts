/**
 * What a call itself proves without any further credential: the certificate of its connection, or
 * that it is of this machine's own user, who could read the authority's key anyway.
 */
import type { Principal } from "../../api/principal.ts";
import { isIdSegment, parseSpiffeId, type SpiffeId } from "../../core/spiffe-id.ts";
import { type ClaimResult, claimed, refused } from "./claim.ts";
import { SIDECAR, type WorkloadMode } from "./grant.ts";

/** What is asked for, beside the key. */
export interface IdentityWish {
  /** "reviews.default"; or empty. */
  readonly service: string;
  /** "default/reviews"; or empty. */
  readonly account: string;
  /** Undefined: whatever the credential says. */
  readonly mode?: WorkloadMode | undefined;
}

const NO_CREDENTIAL =
  "a credential is needed: a join token (`mesh ctl token create --service NAME`), a token of an " +
  "issuer that this manager knows, or a certificate of this mesh";

/** `trustDomain` is the one that certificates are issued in. */
export function callerClaim(
  principal: Principal,
  wish: IdentityWish,
  trustDomain: string,
): ClaimResult {
  switch (principal.kind) {
    case "workload": {
      const id = parseSpiffeId(principal.identity);
      if (id === undefined) return refused("denied", "the certificate is of no workload");
      const by = `certificate ${principal.certificate.serial.toLowerCase()}`;
      const own = { ...id, trustDomain };
      return claimed({ id: own, services: [], grant: SIDECAR, by, origin: "" });
    }
    case "local":
      return anyClaim(wish, trustDomain, "loopback");
    case "person":
      if (principal.role === "admin") return anyClaim(wish, trustDomain, principal.name);
      return refused("denied", "the role admin is needed to have certificates for others");
    case "anonymous":
      return refused("unauthenticated", NO_CREDENTIAL, principal.reason || "no credential");
    default:
      return principal satisfies never;
  }
}

/** Whoever is asked for. */
function anyClaim(wish: IdentityWish, trustDomain: string, by: string): ClaimResult {
  const id = wishedIdentity(wish, trustDomain);
  if (id === undefined)
    return refused("improper", "whom it is for is missing: service, as in reviews.default");
  const service = serviceName(wish.service);
  const grant = { ...SIDECAR, mode: wish.mode ?? SIDECAR.mode };
  return claimed({ id, services: service === "" ? [] : [service], grant, by, origin: "" });
}

/** The account, or else the one named as the service. Undefined: neither is a name. */
export function wishedIdentity(
  { service, account }: IdentityWish,
  trustDomain: string,
): SpiffeId | undefined {
  const [name = "", ofService = ""] = serviceName(service).split(".");
  const [namespace = "", own = "", ...others] =
    account === "" ? [ofService, name] : account.split("/");
  const isId = isIdSegment(namespace) && isIdSegment(own) && others.length === 0;
  return isId ? { trustDomain, namespace, account: own } : undefined;
}

/** "reviews", "reviews.default" and whole host names as "reviews.default"; "": it is none. */
export function serviceName(text: string): string {
  const [name = "", namespace = "default", ...others] = text.toLowerCase().split(".");
  const isName = isIdSegment(name) && isIdSegment(namespace);
  return isName && (others.length === 0 || others[0] === "svc") ? `${name}.${namespace}` : "";
}
