/**
 * The one place that knows: puts configuration and registries together, has them translated, and
 * tells every proxy. Whoever serves it (sockets, or a transport in memory) comes from outside.
 *
 *   store, files ─▶ configuration ┐
 *                                 ├─ debounce ─▶ world ─▶ discovery ─▶ proxies
 *   leases, entries ─▶ registry ──┘
 */
import { create } from "@bufbuild/protobuf";
import { type TrustBundle, TrustBundleSchema } from "../api/gen/mesh/v1/identity_pb.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { formatProblem, type Problem } from "../core/problem.ts";
import { validateSet } from "../dialect/validate-set.ts";
import { Configuration } from "./configuration.ts";
import { Debounce } from "./debounce.ts";
import { Discovery } from "./discovery/discovery.ts";
import type { Identity } from "./identity/identity.ts";
import { PolicyMemory } from "./policy-memory.ts";
import { LocalRegistry } from "./registry/local-registry.ts";
import { mergeRegistries, type Registry } from "./registry/registry.ts";
import { staticRegistryOf } from "./registry/static-registry.ts";
import type { WorkloadStore } from "./registry/workload-store.ts";
import { ruleWarnings } from "./rule-warning.ts";
import type { ReadOnlyStore, Store } from "./store/store.ts";
import { Catalog } from "./translate/catalog.ts";
import { withIdentities } from "./translate/identity.ts";
import { type RuleSet, ruleSetOf } from "./translate/rule-set.ts";
import type { TrustSource } from "./translate/trust-source.ts";

export interface ManagerOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  readonly files?: ReadOnlyStore;
  readonly workloads: WorkloadStore;
  /** "cluster.local" */
  readonly domain: string;
  /** Of documents that name none. */
  readonly namespace: string;
  readonly leaseMs: number;
  /** Absent: nobody has an identity, and proxies speak plaintext. */
  readonly trust?: TrustSource;
  /** Absent: nobody gets a certificate. */
  readonly identity?: Identity;
}

const QUIET_MS = 15;
const LATEST_MS = 100;
const EVENT_MS = 300;

export class Manager {
  readonly options: ManagerOptions;
  readonly configuration: Configuration;
  readonly local: LocalRegistry;
  readonly discovery: Discovery;
  readonly #changes: Debounce;
  readonly #news: Debounce;
  readonly #listeners = new Set<() => void>();
  #registry: Registry = { services: [], instances: [], origins: new Map() };
  #reported: readonly Problem[] = [];
  /** Until something changes. */
  #setProblems: readonly Problem[] | undefined;
  readonly #policyMemory = new PolicyMemory();
  #rules: RuleSet;
  readonly #stopTrust: () => void;
  readonly #stopStanding: () => void;

  static async open(options: ManagerOptions): Promise<Manager> {
    let changed = (): void => {};
    const { store, files } = options;
    const configuration = await Configuration.open(store, files, () => changed());
    const manager = new Manager(options, configuration);
    changed = () => manager.#changes.cause();
    return manager;
  }

  private constructor(options: ManagerOptions, configuration: Configuration) {
    const { clock, log, domain, leaseMs, workloads } = options;
    this.options = options;
    this.configuration = configuration;
    const run = (): void => this.#publish();
    this.#changes = new Debounce({ clock, quietMs: QUIET_MS, latestMs: LATEST_MS, run });
    const tell = (): void => this.#tell();
    this.#news = new Debounce({ clock, quietMs: EVENT_MS, latestMs: EVENT_MS, run: tell });
    const onChange = (): void => this.#changes.cause();
    this.#rules = ruleSetOf([], domain);
    this.#stopTrust = options.trust?.onChange(onChange) ?? ((): void => {});
    this.local = new LocalRegistry({ clock, domain, leaseMs, store: workloads, onChange });
    this.#stopStanding = this.#followStanding();
    this.discovery = new Discovery({
      clock,
      domain,
      log: log.child("discovery"),
      onChange: () => this.#news.cause(),
    });
    this.#publish();
  }

  /** Services and instances of all registries, as last published. */
  get registry(): Registry {
    return this.#registry;
  }

  /** Domains whose identities count as those of the mesh's own, as last published. */
  get trustDomainAliases(): readonly string[] {
    const { trustDomain, trustDomainAliases } = this.#rules.settings.identity;
    const own = this.options.trust?.trustDomain;
    const all = new Set([trustDomain, ...trustDomainAliases]);
    return [...all].filter((domain) => domain !== "" && domain !== own);
  }

  /** What validation may take for known. */
  get hosts(): ReadonlySet<string> {
    return new Set(this.#registry.services.map(({ host }) => host));
  }

  /** Of the files, between all objects in force, and with who is there. */
  problems(): readonly Problem[] {
    const configs = this.configuration.configs();
    return [
      ...this.configuration.problems,
      ...this.setProblems(),
      ...ruleWarnings(configs, this.#registry, { all: configs, domain: this.options.domain }),
    ];
  }

  /** Between all objects in force. */
  setProblems(): readonly Problem[] {
    const configs = this.configuration.configs();
    this.#setProblems ??= [
      ...validateSet(configs, { hosts: this.hosts }),
      ...this.#policyMemory.problemsOf(configs),
    ];
    return this.#setProblems;
  }

  /** Does not wait for more changes: what was committed is on its way when this returns. */
  flush(): void {
    this.#changes.flush();
  }

  /** Calls back, not too often, when something that operators can see changed. */
  onNews(listener: () => void): () => void {
    const entry = (): void => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  async close(): Promise<void> {
    this.#stopTrust();
    this.#stopStanding();
    this.#changes.close();
    this.#news.close();
    this.discovery.close();
    this.local.close();
    await this.configuration.close();
  }

  /** Who came by a join token that is revoked is called no more. */
  #followStanding(): () => void {
    const standing = this.options.identity?.standing;
    if (standing === undefined) return () => {};
    const end = (): void => this.local.withdrawOf((origin) => standing.isRevoked(origin));
    end();
    return standing.onChange(end);
  }

  #publish(): void {
    const stored = this.configuration.list();
    const configs = stored.map(({ config }) => config);
    const createdMs = new Map(stored.map((one) => [one.config, one.createdMs]));
    this.#rules = ruleSetOf(configs, this.options.domain, (config) => createdMs.get(config) ?? 0);
    this.#registry = mergeRegistries([staticRegistryOf(configs), this.local.view()]);
    const { services, instances } = this.#registry;
    const trust = this.#trust();
    const identified = withIdentities(instances, this.#rules.access, trust?.trustDomain ?? "");
    this.discovery.publish({
      rules: this.#rules,
      catalog: new Catalog(services, identified),
      ...(trust !== undefined && { trust }),
    });
    this.#setProblems = undefined;
    this.#report([...this.configuration.problems, ...this.#policyMemory.problemsOf(configs)]);
    this.#news.cause();
  }

  #trust(): TrustBundle | undefined {
    const { trust } = this.options;
    if (trust === undefined) return undefined;
    const { trustDomain } = trust;
    const { rootPems } = trust.trust();
    const trustDomainAliases = [...this.trustDomainAliases];
    return create(TrustBundleSchema, { trustDomain, trustDomainAliases, rootPems: [...rootPems] });
  }

  /** Problems of files and of policy, each once. */
  #report(problems: readonly Problem[]): void {
    const known = new Set(this.#reported.map(formatProblem));
    this.#reported = problems;
    for (const problem of problems) {
      const line = formatProblem(problem);
      if (!known.has(line)) this.options.log[problem.severity === "error" ? "error" : "warn"](line);
    }
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
