/**
 * What keeps a mixer's policy up to date: the manager's stream, and the last good policy on disk
 * for a start without one.
 */
import { create } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { ConfigCache } from "../api/discovery/config-cache.ts";
import { Discovery, type DiscoveryStatus } from "../api/discovery/discovery.ts";
import { Node_Mode, NodeSchema } from "../api/gen/mesh/v1/discovery_pb.ts";
import type { ProxyConfig } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { MESH_VERSION } from "../core/version.ts";

export interface FollowerOptions {
  readonly transport: Transport;
  readonly id: string;
  readonly namespace: string;
  /** "127.0.0.1:9876"; "": there is no admin port. */
  readonly adminAddress: string;
  /** Undefined: nothing is kept. */
  readonly stateDir: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly configure: (config: ProxyConfig) => void;
}

export class PolicyFollower {
  readonly #options: FollowerOptions;
  readonly #cache: ConfigCache | undefined;
  #discovery: Discovery | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
    const { stateDir, id } = options;
    this.#cache = stateDir === undefined ? undefined : new ConfigCache(stateDir, id);
  }

  /** What is on disk is in force when it resolves. */
  async start(): Promise<void> {
    const { transport, id, namespace, clock, random, log, configure } = this.#options;
    const { adminAddress } = this.#options;
    const held = await this.#cache?.load();
    if (held !== undefined) configure(held);
    const mode = Node_Mode.MIXER;
    const node = create(NodeSchema, {
      ...{ id, namespace, mode, adminAddress, meshVersion: MESH_VERSION },
    });
    const accept = (config: ProxyConfig): readonly string[] => {
      configure(config);
      this.#store(config);
      return [];
    };
    this.#discovery = new Discovery({ transport, node, held, clock, random, log, accept });
    this.#discovery.start();
  }

  status(): DiscoveryStatus | undefined {
    return this.#discovery?.status();
  }

  async stop(): Promise<void> {
    await this.#discovery?.stop();
  }

  #store(config: ProxyConfig): void {
    this.#cache?.store(config).catch((thrown: unknown) => {
      this.#options.log.warn("policy not stored on disk", { reason: String(thrown) });
    });
  }
}
