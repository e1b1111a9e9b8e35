/**
 * What a workload says of itself, held against what its certificate was issued on: whether it may
 * be a gateway, and which labels it has. Labels that are bound and not said are filled in, so that
 * who joins by a token need not repeat what is written in it.
 */
import { type Node, Node_Mode, type Workload } from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Principal } from "../../api/principal.ts";
import { GATEWAYS_NEED, labelText } from "../identity/grant.ts";
import type { WorkloadGrant, WorkloadStanding } from "./credential.ts";

export type Bound<T> =
  | { readonly at: "bound"; readonly said: T }
  /** As a sentence. */
  | { readonly at: "foreign"; readonly why: string };

type Standing = Pick<WorkloadStanding, "grantOf">;

export function boundNode(principal: Principal, node: Node, standing: Standing): Bound<Node> {
  if (principal.kind !== "workload") return { at: "bound", said: node };
  return nodeWithin(standing.grantOf(principal.identity, principal.certificate), node, principal);
}

export function boundWorkload(
  principal: Principal,
  workload: Workload,
  standing: Standing,
): Bound<Workload> {
  if (principal.kind !== "workload") return { at: "bound", said: workload };
  const grant = standing.grantOf(principal.identity, principal.certificate);
  const bound = withLabels(grant, workload, principal);
  if (bound.at === "foreign" || workload.node === undefined) return bound;
  const node = nodeWithin(grant, workload.node, principal);
  return node.at === "foreign" ? node : { at: "bound", said: { ...bound.said, node: node.said } };
}

function nodeWithin(grant: WorkloadGrant, node: Node, who: Identified): Bound<Node> {
  // Whether it is a mixer, its identity says.
  if (node.mode === Node_Mode.GATEWAY && grant.mode !== "gateway")
    return { at: "foreign", why: `${who.identity} is no gateway: ${GATEWAYS_NEED}` };
  return withLabels(grant, node, who);
}

interface Identified {
  readonly identity: string;
}

function withLabels<T extends { readonly labels: Readonly<Record<string, string>> }>(
  { labels }: WorkloadGrant,
  said: T,
  { identity }: Identified,
): Bound<T> {
  if (Object.keys(labels).length === 0) return { at: "bound", said };
  const others = Object.entries(said.labels).filter(([key, value]) => labels[key] !== value);
  if (others.length === 0) return { at: "bound", said: { ...said, labels: { ...labels } } };
  const why = `${identity} joined as ${labelText(labels)}, and not as ${labelText(
    Object.fromEntries(others),
  )}`;
  return { at: "foreign", why };
}
