/**
 * Whether who answers is the manager of this mesh. The chain has been verified; what is left is the
 * name: spiffe://<trust domain>/ns/mesh-system/sa/mesh-manager, and no further URI. Everybody else
 * in the mesh has a certificate of the same root.
 */

import { parseSpiffeId } from "../../core/spiffe-id.ts";
import { readAlternativeNames } from "../../io/alternative-name.ts";

/** Also among the DNS names of its certificate, and of no other's that our authority signs. */
export const MANAGER_SERVER_NAME = "mesh-manager.mesh-system.svc";

const MANAGER = { namespace: "mesh-system", account: "mesh-manager" };

/** A sentence; undefined: it is. `trustDomain` "": any under the roots. */
export function foreignManager(
  { subjectaltname }: { readonly subjectaltname?: string | undefined },
  trustDomain: string,
): string | undefined {
  const { uris, uriCount } = readAlternativeNames(subjectaltname);
  const [uri = ""] = uris;
  const id = uriCount === 1 ? parseSpiffeId(uri) : undefined;
  if (id === undefined || id.namespace !== MANAGER.namespace || id.account !== MANAGER.account)
    return `who answers is no manager, but ${uri === "" ? "nobody of a mesh" : uri}`;
  if (trustDomain !== "" && id.trustDomain !== trustDomain)
    return `who answers is the manager of ${id.trustDomain}, not of ${trustDomain}`;
  return undefined;
}
