/** A refusal as the admin port shows it: with what would let such a request in. */
import { parseShortestIpAddress } from "../../attribute/ip-address.ts";
import {
  type AuthorizationFacts,
  hostOf,
  noRequest,
  principalParts,
} from "../../policy/authorization/facts.ts";
import { remediesOf } from "../../policy/authorization/remedy.ts";
import type { CompiledAccess } from "./compiled-access.ts";
import type { DenialRecord } from "./denial-ring.ts";

export interface DenialView extends DenialRecord {
  /** In sentences, by the rules that are in force now; none: nobody knows. */
  readonly remedies: readonly string[];
}

export function viewDenial(record: DenialRecord, access: CompiledAccess | undefined): DenialView {
  if (record.kind !== "authorization" || access === undefined) return { ...record, remedies: [] };
  const { by: policy, rule, method } = record;
  const index = rule === "" ? -1 : Number(rule.slice("rule ".length));
  const { trustDomains, message } = access;
  const context = { isTcp: method === "", trustDomains };
  const decision = { policy, rule: index };
  const facts = factsOf(record);
  const remedies = remediesOf(decision, message.authorizationPolicies, facts, context);
  return { ...record, remedies };
}

/** What was kept of them. */
function factsOf(record: DenialRecord): AuthorizationFacts {
  const { principal, sourceAddress, remoteAddress, port, serverName } = record;
  return {
    ...noRequest,
    ...principalParts(principal),
    principal,
    sourceIp: parseShortestIpAddress(sourceAddress),
    remoteIp: parseShortestIpAddress(remoteAddress),
    destinationIp: undefined,
    destinationPort: port,
    serverName,
    authority: record.host,
    host: hostOf(record.host),
    method: record.method,
    path: record.path,
  };
}
