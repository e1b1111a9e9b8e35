/**
 * Where policy sits in a data plane. A configuration that has rules has the code for them loaded
 * before it is compiled; until then nothing of it is in memory.
 */
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ExposedFamily } from "../../policy/exposition.ts";
import type { PolicyView } from "../../policy/policy-view.ts";
import type { MetricPusher } from "../mixer-client/metric-push.ts";
import type { CompiledPolicy, CompilePolicy } from "./compiled-policy.ts";
import type { Members } from "./endpoint-directory.ts";
import type { DirectionPolicy, ProxyPolicy, ProxyPolicyParts } from "./proxy-policy.ts";
import type { PolicyNode } from "./workload.ts";
import { encodeClaim } from "./workload-claim.ts";

export interface MixerPlace {
  readonly hostname: string;
  readonly port: number;
  /** Of one question. */
  readonly timeoutMs: number;
}

export interface PolicySeatParts extends Omit<ProxyPolicyParts, "mixer"> {
  /** Undefined: there is no mixer. No connection is made before a rule needs one or has counted. */
  readonly mixer: MixerPlace | undefined;
  readonly node: () => PolicyNode;
  /** From now on these are asked. */
  readonly use: (outbound: DirectionPolicy, inbound: DirectionPolicy) => void;
}

/** Nobody judged: another try would only make the exchange wait longer. */
const mixerDefaults = { retriesMax: 0, cacheMax: 10_000, optimistic: false };

export class PolicySeat {
  readonly #parts: PolicySeatParts;
  #policy: ProxyPolicy | undefined = undefined;
  #pusher: MetricPusher | undefined = undefined;
  #node: PolicyNode | undefined = undefined;
  #isClosed = false;

  constructor(parts: PolicySeatParts) {
    this.#parts = parts;
  }

  /** A promise where the code for what `config` asks is not there yet. */
  load({ policy }: ProxyConfig): Promise<void> | undefined {
    return policy === undefined || this.#policy !== undefined ? undefined : this.#load();
  }

  /** Undefined: no configuration with a policy was loaded. */
  get compile(): CompilePolicy | undefined {
    return this.#policy?.compile;
  }

  /** What sidecars that are called are told of this one. */
  get claim(): string {
    this.#node ??= this.#parts.node();
    return encodeClaim(this.#node);
  }

  publish(policy: CompiledPolicy | undefined): void {
    const loaded = this.#policy;
    this.#node ??= this.#parts.node();
    if (loaded?.publish(policy, this.#node) !== true) return;
    this.#parts.use(loaded.outbound, loaded.inbound);
  }

  /** Who runs where, of clusters that are active: what is published now is asked by them. */
  know(clusters: Iterable<Members>): void {
    if (this.#node !== undefined) this.#policy?.know(this.#node, clusters);
  }

  /** What adapters offer to a scrape. */
  families(): readonly ExposedFamily[] {
    return this.#policy?.exposition.families() ?? [];
  }

  view(): PolicyView | undefined {
    return this.#policy?.view();
  }

  /** It waits for the mixer to have heard the last figures, a second at most. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#policy?.close();
    await this.#pusher?.close();
  }

  async #load(): Promise<void> {
    const { ProxyPolicy: Loaded } = await import("./proxy-policy.ts");
    const { RemoteMixer } = await import("../mixer-client/mixer-client.ts");
    const { MetricPusher: Pusher } = await import("../mixer-client/metric-push.ts");
    if (this.#isClosed || this.#policy !== undefined) return;
    const { mixer: place, ...parts } = this.#parts;
    const mixer = place && new RemoteMixer({ ...place, ...parts, ...mixerDefaults });
    const policy = new Loaded({ ...parts, mixer });
    this.#policy = policy;
    const { exposition } = policy;
    const node = (): string => this.#node?.id ?? "";
    this.#pusher = place && new Pusher({ ...place, ...parts, exposition, node });
  }
}
