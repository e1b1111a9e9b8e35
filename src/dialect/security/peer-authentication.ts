/** PeerAuthentication of security.istio.io: whether callers have to prove who they are. */
import { hasDryRun } from "../../model/authorization-policy.ts";
import type { MutualTlsMode, PeerAuthentication } from "../../model/peer-authentication.ts";
import { checkPort } from "../../model/validate-address.ts";
import { mapOf, message } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { oneOf } from "../schema/scalar.ts";
import { type Holder, readSelector, selector } from "./workload-target.ts";

const mutualTls = message({ mode: oneOf("UNSET", "DISABLE", "PERMISSIVE", "STRICT") });

const written = message({ selector, mtls: mutualTls, portLevelMtls: mapOf(mutualTls) });

/** Undefined after the problems have been reported. */
export function readPeerAuthentication(
  place: Place,
  holder: Holder,
): PeerAuthentication | undefined {
  const peer = written(place.orMap());
  if (peer === undefined) return undefined;
  refuseDryRun(place, holder);
  const labels = readSelector(peer.selector);
  const entries = peer.portLevelMtls ?? [];
  if (peer.has("portLevelMtls")) {
    const at = peer.at("portLevelMtls");
    if (entries.length === 0 && at.reading.errors === 0) at.error("must have at least one port");
    if (labels === undefined)
      at.error("must stand beside a selector: ports are those of certain workloads");
  }
  const ports: Record<string, MutualTlsMode> = {};
  for (const { key, value, at } of entries) {
    const complaint = /^\d+$/.test(key) ? checkPort(Number(key)) : "is not a number";
    if (complaint !== undefined) at.error(`port "${key}" ${complaint}`);
    ports[String(Number(key))] = value.mode ?? "UNSET";
  }
  return {
    ...(labels !== undefined && { selector: labels }),
    mode: peer.mtls?.mode ?? "UNSET",
    ports,
  };
}

/** Only rules may be tried without being obeyed. */
export function refuseDryRun(place: Place, { annotations }: Holder): void {
  if (hasDryRun(annotations))
    place.error("must not have the annotation istio.io/dry-run: only ALLOW and DENY have it");
}
