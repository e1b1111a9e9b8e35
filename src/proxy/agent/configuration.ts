/**
 * The configuration in force, wherever it came from.
 *
 *   manager ─┐
 *   disk ────┼─▶ under --upstream ─▶ apply ──problems──▶ refused, the former stays
 *   static ──┘                         └──none──▶ in force; the manager's also on disk
 */

import type { ConfigCache } from "../../api/discovery/config-cache.ts";
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatProblem, type Problem } from "../../core/problem.ts";
import { overlay } from "./static-config.ts";

export type ConfigSource = "manager" | "disk" | "static" | "none";

export interface ConfigurationParts {
  /** Of `--upstream`; may be empty. */
  readonly base: ProxyConfig;
  readonly cache: ConfigCache | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Puts it in force; or says what is wrong with it, and changes nothing. In the order asked. */
  readonly apply: (config: ProxyConfig) => Applied;
}

/** A promise where several threads have to agree. */
type Applied = readonly Problem[] | Promise<readonly Problem[]>;

/** Between two writes to disk: each serializes the whole, beside the traffic. */
const STORE_INTERVAL_MS = 1000;

export class Configuration {
  readonly #parts: ConfigurationParts;
  readonly #inForce = Promise.withResolvers<void>();
  #source: ConfigSource = "none";
  #config: ProxyConfig | undefined;
  /** Asked for, and not answered yet. */
  #underWay = 0;
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

  /** For discovery to resume from. */
  get received(): ProxyConfig | undefined {
    return this.#received;
  }

  /** Resolves when the first configuration is in force. */
  get inForce(): Promise<void> {
    return this.#inForce.promise;
  }

  /** The manager's: the problems with it, or none and it is in force. */
  accept(config: ProxyConfig): readonly string[] | Promise<readonly string[]> {
    return this.#put(config, "manager");
  }

  /** The last good one of an earlier run; false if there is none that can be used. */
  async loadFromDisk(): Promise<boolean> {
    const config = await this.#parts.cache?.load();
    if (config === undefined || this.#source !== "none") return false;
    const problems = await this.#put(config, "disk");
    if (problems.length === 0) return true;
    this.#parts.log.warn("configuration on disk is of no use", { problem: problems[0]! });
    return false;
  }

  /** Only what the command line says. */
  async useStatic(): Promise<void> {
    if (this.#source !== "none" || this.#underWay > 0) return;
    const problems = await this.#put(undefined, "static");
    if (problems.length > 0) throw new Error(`--upstream: ${problems[0]}`);
  }

  #put(
    received: ProxyConfig | undefined,
    source: ConfigSource,
  ): readonly string[] | Promise<readonly string[]> {
    const config = overlay(this.#parts.base, received);
    const settle = (problems: readonly Problem[]): readonly string[] => {
      if (problems.length > 0) return problems.map(formatProblem);
      this.#config = config;
      this.#received = received;
      this.#source = source;
      this.#parts.log.debug("configuration in force", { version: config.version, source });
      this.#inForce.resolve();
      if (source === "manager" && received !== undefined) this.#storeSoon(received);
      return [];
    };
    const applied = this.#parts.apply(config);
    return applied instanceof Promise ? this.#whenApplied(applied, settle) : settle(applied);
  }

  async #whenApplied(
    applied: Promise<readonly Problem[]>,
    settle: (problems: readonly Problem[]) => readonly string[],
  ): Promise<readonly string[]> {
    this.#underWay++;
    try {
      return settle(await applied);
    } finally {
      this.#underWay--;
    }
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
