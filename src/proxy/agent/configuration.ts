/**
 * The configuration in force, wherever it came from.
 *
 *   manager ─┐
 *   disk ────┼─▶ under --upstream ─▶ compile ──problems──▶ refused, the former stays
 *   static ──┘                          └──snapshot──▶ published; the manager's also on disk
 */
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatProblem, type Problem } from "../../core/problem.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { ConfigCache } from "./config-cache.ts";
import { overlay } from "./static-config.ts";

export type ConfigSource = "manager" | "disk" | "static" | "none";

export interface ConfigurationParts {
  /** Of `--upstream`; may be empty. */
  readonly base: ProxyConfig;
  readonly cache: ConfigCache | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly compile: (config: ProxyConfig, former: Snapshot | undefined) => Snapshot | Problem[];
  readonly publish: (snapshot: Snapshot) => void;
}

/** Between two writes to disk: each serializes the whole, beside the traffic. */
const STORE_INTERVAL_MS = 1000;

export class Configuration {
  readonly #parts: ConfigurationParts;
  readonly #inForce = Promise.withResolvers<void>();
  #source: ConfigSource = "none";
  #config: ProxyConfig | undefined;
  #snapshot: Snapshot | undefined;
  /** What the manager sent, or the disk held: without the static part. */
  #received: ProxyConfig | undefined;
  /** Newer than what is on disk. */
  #unstored: ProxyConfig | undefined;
  /** Of the time after a write in which there is no other. */
  #cancelPause: (() => void) | undefined;
  #storing: Promise<void> = Promise.resolve();

  constructor(parts: ConfigurationParts) {
    this.#parts = parts;
  }

  get source(): ConfigSource {
    return this.#source;
  }

  /** With the static part. */
  get config(): ProxyConfig | undefined {
    return this.#config;
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** For discovery to resume from. */
  get received(): ProxyConfig | undefined {
    return this.#received;
  }

  /** Resolves when the first configuration is in force. */
  get inForce(): Promise<void> {
    return this.#inForce.promise;
  }

  /** The manager's: the problems with it, or none and it is in force. */
  accept(config: ProxyConfig): readonly string[] {
    const problems = this.#put(config, "manager");
    if (problems.length === 0) this.#storeSoon(config);
    return problems;
  }

  /** The last good one of an earlier run; false if there is none that can be used. */
  async loadFromDisk(): Promise<boolean> {
    const config = await this.#parts.cache?.load();
    if (config === undefined || this.#source !== "none") return false;
    const problems = this.#put(config, "disk");
    if (problems.length === 0) return true;
    this.#parts.log.warn("configuration on disk is of no use", { problem: problems[0]! });
    return false;
  }

  /** Only what the command line says. */
  useStatic(): void {
    if (this.#source !== "none") return;
    const problems = this.#put(undefined, "static");
    if (problems.length > 0) throw new Error(`--upstream: ${problems[0]}`);
  }

  #put(received: ProxyConfig | undefined, source: ConfigSource): readonly string[] {
    const config = overlay(this.#parts.base, received);
    const compiled = this.#parts.compile(config, this.#snapshot);
    if (Array.isArray(compiled)) return compiled.map(formatProblem);
    this.#parts.publish(compiled);
    this.#config = config;
    this.#snapshot = compiled;
    this.#received = received;
    this.#source = source;
    this.#parts.log.debug("configuration in force", { version: config.version, source });
    this.#inForce.resolve();
    return [];
  }

  /** What is in force is on disk. */
  async close(): Promise<void> {
    this.#cancelPause?.();
    await this.#storing;
    await this.#store();
  }

  #storeSoon(config: ProxyConfig): void {
    this.#unstored = config;
    if (this.#cancelPause !== undefined) return;
    this.#storing = this.#store();
    this.#cancelPause = this.#parts.clock.after(STORE_INTERVAL_MS, () => {
      this.#cancelPause = undefined;
      if (this.#unstored !== undefined) this.#storeSoon(this.#unstored);
    });
  }

  async #store(): Promise<void> {
    const config = this.#unstored;
    if (config === undefined) return;
    this.#unstored = undefined;
    try {
      await this.#parts.cache?.store(config);
    } catch (thrown) {
      // Traffic does not depend on it; only a start without the manager would.
      this.#parts.log.warn("configuration not stored on disk", { reason: String(thrown) });
    }
  }
}
