/** Whom an issuer of tokens means by the name that it gives. */
import { isIdSegment, parseSpiffeId, type SpiffeId } from "../../core/spiffe-id.ts";

const KUBERNETES = "system:serviceaccount:";

/**
 * "system:serviceaccount:default:reviews", "default/reviews", or a SPIFFE id of `trustDomain`.
 * Undefined: anything else, which is no workload.
 */
export function accountId(name: string, trustDomain: string): SpiffeId | undefined {
  if (name.startsWith("spiffe://")) {
    const id = parseSpiffeId(name);
    return id?.trustDomain === trustDomain ? id : undefined;
  }
  const parts = name.startsWith(KUBERNETES)
    ? name.slice(KUBERNETES.length).split(":")
    : name.split("/");
  const [namespace = "", account = "", ...others] = parts;
  if (others.length > 0 || !isIdSegment(namespace) || !isIdSegment(account)) return undefined;
  return { trustDomain, namespace, account };
}
