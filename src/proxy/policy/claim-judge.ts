/**
 * What is believed of a caller that its sidecar speaks for: as much as the certificate of the
 * connection bears out. Namespace and account are in it; a service, if it is named as the account
 * or an instance of it has that account; which copy it is, and its labels, as that is registered,
 * or else as it says within its own service. What is not borne out is left out: nobody is refused
 * for it. Judged once for each connection, and again, where something was doubted, by another
 * configuration.
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
const nobody: KnownMembers = { members: new Map(), clusters: new Map() };

export class ClaimJudge {
  readonly #parts: ClaimJudgeParts;
  readonly #said = new Map<Doubt, { atMs: number; unsaid: number }>();
  #known = nobody;

  constructor(parts: ClaimJudgeParts) {
    this.#parts = parts;
  }

  /** Another one: what was doubted may be judged otherwise. */
  get edition(): unknown {
    return this.#known;
  }

  publish(known: KnownMembers): void {
    this.#known = known;
  }

  judge(claim: Claim, { id, port }: ClaimProof): Judgement {
    if (id === undefined) {
      if (!this.#parts.expectsProof(port)) return { caller: callerOf(claim), doubts: [] };
      return { caller: undefined, doubts: ["unproved"] };
    }
    if (claim.namespace !== id.namespace) return { caller: undefined, doubts: ["other-namespace"] };
    const doubts: Doubt[] = [];
    const found = this.#find(claim, id);
    const isOwn = claim.service === "" || found.standsFor || isNamedAs(claim.service, id);
    const service = isOwn ? claim.service : "";
    const names = [id.account, service.split(".", 1)[0] ?? ""].filter((name) => name !== "");
    const isCopy = found.copy !== undefined || names.some((name) => isCopyOf(name, claim.id, id));
    const labels = found.copy?.labels ?? withoutApps(claim.labels, names);
    if (!isOwn) doubts.push("other-service");
    if (!isCopy) doubts.push("other-copy");
    if (found.copy === undefined && labels !== claim.labels) doubts.push("other-app");
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

  /** Among the instances of the service that it names. */
  #find(claim: Claim, id: SpiffeId): { standsFor: boolean; copy: EndpointSpec | undefined } {
    const { members, clusters } = this.#known;
    let standsFor = false;
    if (claim.service === "") return { standsFor, copy: undefined };
    for (const [name, specs] of members) {
      if (clusters.get(name)?.serviceName.host !== claim.service) continue;
      for (const spec of specs) {
        if (!isAccountOf(spec.identity, id)) continue;
        standsFor = true;
        if (spec.workload === claim.id) return { standsFor, copy: spec };
      }
    }
    return { standsFor, copy: undefined };
  }
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
function withoutApps(labels: Claim["labels"], names: readonly string[]): Claim["labels"] {
  const foreign = APP_LABELS.filter((key) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    return value !== undefined && !names.includes(value);
  });
  if (foreign.length === 0) return labels;
  const left = Object.entries(labels).filter(([key]) => !foreign.some((one) => one === key));
  return Object.fromEntries(left);
}
