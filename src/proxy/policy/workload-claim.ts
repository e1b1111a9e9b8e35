/**
 * Who a sidecar says it calls for, in a line of text: said once for each connection inside of one
 * between sidecars, so that rules at the far end can speak of the source. It is a claim, as
 * Istio's `x-istio-attributes` was: see claim-judge.ts for what of it is believed.
 */
import { serviceNameOf } from "../cluster/service-name.ts";
import { type Workload, workloadOf } from "./workload.ts";

/** Octets of a field value. */
export const CLAIM_MAX = 2_048;
const LABELS_MAX = 64;

export interface Claim {
  /** "reviews-1x8k2m.default": of the running copy. */
  readonly id: string;
  /** Full host name; "": it stands for no service. */
  readonly service: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Caller extends Workload {
  /** "reviews.default.svc.cluster.local"; "": it stands for no service. */
  readonly service: string;
}

/** Empty where there is too much to say. */
export function encodeClaim({ id, service, namespace, labels }: Claim): string {
  const text = new TextEncoder().encode(JSON.stringify([id, service, namespace, labels]));
  const claim = text.toBase64({ alphabet: "base64url", omitPadding: true });
  return claim.length > CLAIM_MAX ? "" : claim;
}

/** Undefined: it is none of ours. */
export function decodeClaim(claim: string): Claim | undefined {
  if (claim === "" || claim.length > CLAIM_MAX) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(claim, { alphabet: "base64url" });
    return claimFrom(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    return undefined;
  }
}

/** In the words of rules. */
export function callerOf({ id, service, namespace, labels }: Claim): Caller {
  return {
    ...workloadOf({ id, service: serviceNameOf(service), namespace, labels }),
    service,
  };
}

function claimFrom(said: unknown): Claim | undefined {
  if (!Array.isArray(said) || said.length !== 4) return undefined;
  const [id, service, namespace, labels] = said as readonly unknown[];
  if (typeof id !== "string" || typeof service !== "string" || typeof namespace !== "string")
    return undefined;
  return isLabels(labels) ? { id, service, namespace, labels } : undefined;
}

function isLabels(said: unknown): said is Readonly<Record<string, string>> {
  if (typeof said !== "object" || said === null || Array.isArray(said)) return false;
  const values = Object.values(said);
  return values.length <= LABELS_MAX && values.every((value) => typeof value === "string");
}
