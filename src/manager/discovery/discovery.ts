/**
 * All streams of all proxies. On a new world every stream is offered its part of it; equal parts
 * are one object, made once.
 */
import {
  type Acknowledgement,
  type ConfigUpdate,
  type Node,
  Node_Mode,
} from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { compare } from "../order.ts";
import { fullHostName } from "../translate/host-name.ts";
import type { Resources } from "../translate/resource.ts";
import type { NodeView } from "../translate/source.ts";
import { Translator, type World } from "../translate/translator.ts";
import { ProxyStream } from "./proxy-stream.ts";

export interface DiscoveryOptions {
  readonly clock: Clock;
  readonly domain: string;
  readonly log: Log;
  /** A proxy came, went or answered. */
  readonly onChange: () => void;
}

/** Since the process began. */
export interface DiscoveryCounts {
  readonly connections: number;
  readonly wholes: number;
  readonly differences: number;
  readonly acknowledged: number;
  readonly rejected: number;
}

/** Versions that are remembered, so that a proxy which reconnects is sent a difference. */
const VERSIONS_MAX = 64;
const STREAMS_PER_NODE_MAX = 2;

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #translator: Translator;
  readonly #streams = new Set<ProxyStream>();
  /** As they came. */
  readonly #byNode = new Map<string, readonly ProxyStream[]>();
  readonly #versions = new Map<string, Resources>();
  readonly #counts = { connections: 0, wholes: 0, differences: 0, acknowledged: 0, rejected: 0 };

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#translator = new Translator(options.domain);
  }

  /** By node id, then as they came. */
  get streams(): readonly ProxyStream[] {
    return [...this.#streams].sort((a, b) => compare(a.node.id, b.node.id));
  }

  /** Somebody follows for this node. */
  isConnected(nodeId: string): boolean {
    return this.#byNode.has(nodeId);
  }

  /** Of those who follow under this id. */
  nodesOf(nodeId: string): readonly Node[] {
    return (this.#byNode.get(nodeId) ?? []).map(({ node }) => node);
  }

  get counts(): DiscoveryCounts {
    return this.#counts;
  }

  publish(world: World): void {
    this.#translator.update(world);
    for (const stream of this.#streams) stream.offer(this.resourcesOf(stream.node));
  }

  /** What a proxy like this one is to run on. */
  resourcesOf(node: Node): Resources {
    const resources = this.#translator.resources(this.#viewOf(node));
    this.#versions.delete(resources.version);
    this.#versions.set(resources.version, resources);
    if (this.#versions.size > VERSIONS_MAX)
      this.#versions.delete(this.#versions.keys().next().value ?? "");
    return resources;
  }

  /**
   * Updates for one proxy until it goes. Two streams of one node are a proxy and its successor,
   * while the one hands over to the other; a third ends the oldest.
   */
  async *watch(node: Node, version: string, signal: AbortSignal): AsyncGenerator<ConfigUpdate> {
    const { clock, log, onChange } = this.#options;
    // First what it is to have: a version may be known only because it is also the current one.
    const resources = this.resourcesOf(node);
    const stream = new ProxyStream(node, version, this.#versions.get(version), clock);
    this.#add(stream);
    this.#counts.connections++;
    const close = (): void => stream.close();
    signal.addEventListener("abort", close);
    log.info("proxy connected", { node: node.id, service: node.service, holds: version });
    try {
      stream.offer(resources);
      onChange();
      for (;;) {
        const update = await stream.next();
        if (update === undefined) return;
        this.#counts[update.baseVersion === "" ? "wholes" : "differences"]++;
        yield update;
        onChange();
      }
    } finally {
      signal.removeEventListener("abort", close);
      stream.close();
      this.#remove(stream);
      log.info("proxy gone", { node: node.id });
      onChange();
    }
  }

  /** False: no such proxy is connected, or it answers something old. */
  acknowledge(acknowledgement: Acknowledgement): boolean {
    const { nodeId, version, problems } = acknowledgement;
    const known = this.#answering(nodeId, version)?.acknowledge(acknowledgement) ?? false;
    if (known && problems.length > 0)
      this.#options.log.warn("proxy rejected its configuration", {
        node: nodeId,
        version,
        problems: problems.slice(0, 5).join("; "),
      });
    if (known) {
      this.#counts[problems.length === 0 ? "acknowledged" : "rejected"]++;
      this.#options.onChange();
    }
    return known;
  }

  close(): void {
    for (const stream of this.#streams) stream.close();
  }

  #add(stream: ProxyStream): void {
    const { id } = stream.node;
    const former = this.#byNode.get(id) ?? [];
    if (former.length >= STREAMS_PER_NODE_MAX) former[0]?.close();
    this.#streams.add(stream);
    this.#byNode.set(id, [...former, stream]);
  }

  #remove(stream: ProxyStream): void {
    const { id } = stream.node;
    const others = (this.#byNode.get(id) ?? []).filter((one) => one !== stream);
    this.#streams.delete(stream);
    if (others.length === 0) this.#byNode.delete(id);
    else this.#byNode.set(id, others);
  }

  /** Of a node's streams the one that waits for this answer, else one that had it already. */
  #answering(nodeId: string, version: string): ProxyStream | undefined {
    const streams = this.#byNode.get(nodeId) ?? [];
    const sent = streams.filter((stream) => stream.sentVersion === version);
    return sent.find(({ isAwaiting }) => isAwaiting) ?? sent[0];
  }

  #viewOf({ service, namespace, labels, mode }: Node): NodeView {
    const { domain } = this.#options;
    const host = fullHostName(service, namespace, domain);
    return { service: host, namespace: namespace || namespaceOf(host), labels, ...modeOf(mode) };
  }
}

function modeOf(mode: Node_Mode): Pick<NodeView, "mode"> {
  if (mode === Node_Mode.MIXER) return { mode: "mixer" };
  return mode === Node_Mode.GATEWAY ? { mode: "gateway" } : {};
}

function namespaceOf(host: string): string {
  const [, namespace, svc] = host.split(".");
  return svc === "svc" && namespace !== undefined ? namespace : "default";
}
