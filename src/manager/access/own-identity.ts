/**
 * Whether a workload speaks of itself: the service that it names is its own account's, or one that
 * its certificate was issued for, and its id is called after one of these. Nobody else is asked:
 * this machine may say anything.
 */
import type { Node, Workload } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { Node_Mode } from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Principal } from "../../api/principal.ts";
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe-id.ts";
import { fullHostName } from "../translate/host-name.ts";
import type { WorkloadStanding } from "./credential.ts";

export interface OwnIdentityOptions {
  /** "cluster.local" */
  readonly domain: string;
  readonly standing: Pick<WorkloadStanding, "servicesOf">;
}

/** Who alone may have what a mixer has: the policy of all namespaces. */
const MIXER = { namespace: "mesh-system", account: "mesh-mixer" };

const MADE_UP = /^(.+)-[0-9a-z]{6}$/;
/** What proxies that stand for no service call themselves. */
const NAMELESS: readonly string[] = ["proxy", "gateway"];

/** What is not its own, as a sentence; undefined: nothing. */
export function foreignNode(
  principal: Principal,
  node: Node,
  options: OwnIdentityOptions,
): string | undefined {
  const id = workloadId(principal);
  if (id === undefined) return undefined;
  // Its namespace is that of documents which name none.
  if (node.mode === Node_Mode.MIXER)
    return isMixer(id) ? undefined : `${nameOf(id)} is no mixer: ${nameOf(MIXER)} is`;
  return foreignService(principal, node, options) ?? foreignId(principal, node, options);
}

export function foreignWorkload(
  principal: Principal,
  workload: Workload,
  options: OwnIdentityOptions,
): string | undefined {
  const id = workloadId(principal);
  if (id === undefined) return undefined;
  const { serviceAccount, node } = workload;
  const accounts = ["", id.account, `${id.namespace}/${id.account}`];
  if (!accounts.includes(serviceAccount))
    return `${nameOf(id)} is not the account ${serviceAccount}`;
  const foreign =
    foreignService(principal, workload, options) ?? foreignId(principal, workload, options);
  if (foreign !== undefined || node === undefined) return foreign;
  return foreignNode(principal, node, options);
}

/** The account that a workload has by its certificate; empty: it has shown none. */
export function accountOf(principal: Principal): string {
  return workloadId(principal)?.account ?? "";
}

function foreignService(
  principal: Principal,
  { service, namespace }: { readonly service: string; readonly namespace: string },
  { domain, standing }: OwnIdentityOptions,
): string | undefined {
  const id = workloadId(principal);
  if (id === undefined || principal.kind !== "workload") return undefined;
  // As whoever reads it takes it: what names no namespace is of "default", not of the caller's.
  const host = fullHostName(service, namespace, domain);
  const [, within, svc] = host.split(".");
  const stated = namespace || (svc === "svc" ? within : undefined) || "default";
  if (stated !== id.namespace) return `${nameOf(id)} is not of namespace ${stated}`;
  if (service === "") return undefined;
  if (
    ownServices(principal.identity, id, standing).some(
      (name) => fullHostName(name, id.namespace, domain) === host,
    )
  )
    return undefined;
  return `${nameOf(id)} is not the service ${service}`;
}

/** Who has another's id first would keep it from its place, and be taken for it. */
function foreignId(
  principal: Principal,
  { id: text, service }: { readonly id: string; readonly service: string },
  { standing }: OwnIdentityOptions,
): string | undefined {
  const id = workloadId(principal);
  if (id === undefined || principal.kind !== "workload") return undefined;
  const services = ownServices(principal.identity, id, standing);
  const named = services.map((name) => name.split(".", 1)[0] ?? "");
  const names = service === "" ? [...named, ...NAMELESS] : named;
  if (names.some((name) => isIdOf(name, id.namespace, text))) return undefined;
  return `${nameOf(id)} is not ${text}: its ids are ${id.account}-….${id.namespace}`;
}

/** Of the form that proxies make up it is one service's alone: "web-admin-1x8k2m" is not of web. */
function isIdOf(name: string, namespace: string, text: string): boolean {
  const said = text.toLowerCase();
  const end = `.${namespace.toLowerCase()}`;
  if (!said.endsWith(end)) return false;
  const copy = said.slice(0, -end.length);
  const own = name.toLowerCase();
  const [, made] = MADE_UP.exec(copy) ?? [];
  return copy === own || (made === undefined ? copy.startsWith(`${own}-`) : made === own);
}

/** "reviews.default" */
function ownServices(
  identity: string,
  { namespace, account }: SpiffeId,
  standing: OwnIdentityOptions["standing"],
): readonly string[] {
  return [`${account}.${namespace}`, ...standing.servicesOf(identity)];
}

function workloadId(principal: Principal): SpiffeId | undefined {
  return principal.kind === "workload" ? parseSpiffeId(principal.identity) : undefined;
}

function isMixer({ namespace, account }: SpiffeId): boolean {
  return namespace === MIXER.namespace && account === MIXER.account;
}

function nameOf({ namespace, account }: Omit<SpiffeId, "trustDomain">): string {
  return `ns/${namespace}/sa/${account}`;
}
