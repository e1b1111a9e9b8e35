/**
 * What is believed of a caller that its sidecar speaks for: as much as the certificate of the
 * connection bears out. Namespace and account are in it; a service, if it is named as the account
 * or an instance of it has that account; which copy it is, and its labels, as that is registered,
 * or else as it says, but never as what is another's. What is not borne out is left out, and nobody
 * is refused for it. Judged once for each connection, and again, where something was doubted, by
 * another configuration.
 *
 *   plaintext ───────────────▶ nothing, unless nobody could prove anything here
 *   namespace of another ────▶ nothing
 *   service of another ──────▶ the rest
 *   copy of another ─────────▶ known by its account
 *   labels with another's app ▶ the other labels
 */
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe-id.ts";
import type { MetricScope } from "../../telemetry/metrics.ts";
import type { EndpointSpec } from "../cluster/membership.ts";
import type { ServiceName } from "../cluster/service-name.ts";
import { type Caller, type Claim, callerOf } from "./workload-claim.ts";

export type Doubt = "unproved" | "other-namespace" | "other-service" | "other-copy" | "other-app";

export interface ClaimProof {
  /** Of the connection's certificate; undefined: it has shown none. */
  readonly id: SpiffeId | undefined;
  /** Of the application that is called. */
  readonly port: number;
}

export interface Judgement {
  /** Undefined: nothing is believed. */
  readonly caller: Caller | undefined;
  readonly doubts: readonly Doubt[];
}

/** What of a configuration says who stands for which service. */
export interface KnownMembers {
  readonly members: ReadonlyMap<string, readonly EndpointSpec[]>;
  readonly clusters: ReadonlyMap<string, { readonly serviceName: ServiceName }>;
}

export interface ClaimJudgeParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** Whether callers of that port could prove who they are. */
  readonly expectsProof: (port: number) => boolean;
}

/** Labels by which tools take a workload for one of a service. */
const APP_LABELS = ["app", "app.kubernetes.io/name", "service.istio.io/canonical-name"] as const;
/** As proxies name themselves. */
const COPY = /^-[0-9a-z]{6}$/;
/** Of one sort, in the log. */
const QUIET_MS = 10_000;
const HELP = "Connections whose callers said of themselves what they do not prove.";
const none: readonly EndpointSpec[] = [];
const nobody: KnownMembers = { members: new Map(), clusters: new Map() };

export class ClaimJudge {
  readonly #parts: ClaimJudgeParts;
  readonly #said = new Map<Doubt, { atMs: number; unsaid: number }>();
  #known = nobody;
  /** Of `#known`, by host; made when it is first asked. */
  #byHost: ReadonlyMap<string, readonly EndpointSpec[]> | undefined = undefined;

  constructor(parts: ClaimJudgeParts) {
    this.#parts = parts;
  }

  /** Another one: what was doubted may be judged otherwise. */
  get edition(): unknown {
    return this.#known;
  }

  publish(known: KnownMembers): void {
    this.#known = known;
    this.#byHost = undefined;
  }

  judge(claim: Claim, { id, port }: ClaimProof): Judgement {
    if (id === undefined) {
      if (!this.#parts.expectsProof(port)) return { caller: callerOf(claim), doubts: [] };
      return { caller: undefined, doubts: ["unproved"] };
    }
    if (claim.namespace !== id.namespace) return { caller: undefined, doubts: ["other-namespace"] };
    const doubts: Doubt[] = [];
    const members = this.#membersOf(claim.service, id);
    const registered = members.find(({ workload }) => workload === claim.id);
    const isOwn = claim.service === "" || members.length > 0 || isNamedAs(claim.service, id);
    const service = isOwn ? claim.service : "";
    const names = [id.account, service.split(".", 1)[0] ?? ""].filter((name) => name !== "");
    const isCopy = registered !== undefined || names.some((name) => isCopyOf(name, claim.id, id));
    const given = registered?.labels ?? claim.labels;
    const labels = withoutApps(given, (app) => {
      if (names.includes(app)) return true;
      return registered !== undefined && !this.#isAnothers(app, claim.service, id);
    });
    if (!isOwn) doubts.push("other-service");
    if (!isCopy) doubts.push("other-copy");
    if (labels !== given) doubts.push("other-app");
    const { namespace, account } = id;
    const copy = isCopy ? claim.id : `${account}.${namespace}`;
    return { caller: callerOf({ id: copy, service, namespace, labels }), doubts };
  }

  /** Of one connection, once. */
  note(doubts: readonly Doubt[], { id }: ClaimProof, { service, ...said }: Claim): void {
    const { clock, log, metrics } = this.#parts;
    for (const reason of doubts) {
      metrics.counter("mesh_source_claims_doubted_total", HELP, { reason }).increment();
      const nowMs = clock.nowMs();
      const known = this.#said.get(reason);
      if (known !== undefined && nowMs < known.atMs + QUIET_MS) {
        known.unsaid++;
        continue;
      }
      this.#said.set(reason, { atMs: nowMs, unsaid: 0 });
      const caller = id === undefined ? "" : `ns/${id.namespace}/sa/${id.account}`;
      const more = known === undefined || known.unsaid === 0 ? {} : { alike: known.unsaid };
      log.warn("a caller says of itself what it does not prove", {
        ...{ reason, caller, workload: said.id, service, namespace: said.namespace, ...more },
      });
    }
  }

  /** Instances of that account. */
  #membersOf(host: string, id: SpiffeId): readonly EndpointSpec[] {
    return this.#specsOf(host).filter(({ identity }) => isAccountOf(identity, id));
  }

  /** `app` names a service beside `host`, and none that the account stands for. */
  #isAnothers(app: string, host: string, id: SpiffeId): boolean {
    const other = `${app}${host.slice(host.indexOf("."))}`;
    return this.#specsOf(other).length > 0 && this.#membersOf(other, id).length === 0;
  }

  #specsOf(host: string): readonly EndpointSpec[] {
    this.#byHost ??= byHost(this.#known);
    return this.#byHost.get(host) ?? none;
  }
}

function byHost({ members, clusters }: KnownMembers): ReadonlyMap<string, readonly EndpointSpec[]> {
  const all = new Map<string, readonly EndpointSpec[]>();
  for (const [name, specs] of members) {
    const host = clusters.get(name)?.serviceName.host;
    // Of several ports and subsets each has its own list.
    if (host !== undefined) all.set(host, [...(all.get(host) ?? none), ...specs]);
  }
  return all;
}

/** Domains of one mesh stand for each other. */
function isAccountOf(identity: string, { namespace, account }: SpiffeId): boolean {
  if (identity === "") return false;
  const other = parseSpiffeId(identity);
  return other?.namespace === namespace && other.account === account;
}

/** "reviews.default.svc.cluster.local" of ns/default/sa/reviews. */
function isNamedAs(host: string, { namespace, account }: SpiffeId): boolean {
  return host.startsWith(`${account}.${namespace}.svc.`);
}

/** "reviews-1x8k2m.default", or "reviews.default" */
function isCopyOf(name: string, copy: string, { namespace }: SpiffeId): boolean {
  if (!copy.startsWith(name) || !copy.endsWith(`.${namespace}`)) return false;
  const between = copy.slice(name.length, copy.length - namespace.length - 1);
  return between === "" || COPY.test(between);
}

/** The same object where nothing is left out. */
function withoutApps(
  labels: Claim["labels"],
  isBelieved: (app: string) => boolean,
): Claim["labels"] {
  const foreign = APP_LABELS.filter((key) => {
    const app = Object.hasOwn(labels, key) ? labels[key] : undefined;
    return app !== undefined && !isBelieved(app);
  });
  if (foreign.length === 0) return labels;
  const left = Object.entries(labels).filter(([key]) => !foreign.some((one) => one === key));
  return Object.fromEntries(left);
}
