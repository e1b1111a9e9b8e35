/**
 * Whether a request for a certificate may be one of the identity that its sender has proved. The
 * identity never comes from the request; but one that names somebody else is a mistake or worse,
 * and is refused and not quietly corrected.
 */
import { formatSpiffeId, type SpiffeId } from "../../core/spiffe-id.ts";
import type { SigningRequest } from "./signing-request.ts";

export type NamesVerdict =
  | { readonly at: "fits" }
  /** It names what no certificate of ours can: two identities, a DNS name. */
  | { readonly at: "improper"; readonly why: string }
  | { readonly at: "another"; readonly why: string };

export function judgeNames(request: SigningRequest, id: SpiffeId): NamesVerdict {
  const identity = formatSpiffeId(id);
  const { names, commonNames } = request;
  if (names.length > 1)
    return { at: "improper", why: `the request names ${names.length} subjects, and one may be` };
  const [name] = names;
  if (name !== undefined && name.kind !== "uri")
    return { at: "improper", why: `the request names ${name.value}, which is no SPIFFE id` };
  const own = [identity, id.account, `${id.account}.${id.namespace}`];
  const claimed = [name?.value ?? identity, ...commonNames];
  const other = claimed.find((text, i) => (i === 0 ? text !== identity : !own.includes(text)));
  if (other === undefined) return { at: "fits" };
  return { at: "another", why: `the request names ${other}, and its sender is ${identity}` };
}
