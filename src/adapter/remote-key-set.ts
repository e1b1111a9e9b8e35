/**
 * Keys that an issuer of tokens publishes, fetched beside the path of requests and kept:
 *
 *   idle ─start, seek─▶ fetching ─┬ good ─▶ idle, again in 20 minutes
 *                       ▲         └ bad ──▶ idle, again after a pause that grows to a minute
 *                       └────────────────────┘
 *
 * One fetch at a time, bounded in time and size, and not to everywhere (guarded-fetch.ts). What was
 * good stays in force until something good takes its place. Where only the issuer is known, its
 * discovery document says where the keys are (OpenID Connect Discovery 4), over TLS if it came so.
 */
import { backoffMs } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { systemTrust, type TrustSource } from "../io/tls-settings.ts";
import { KEY_SET_BYTES_MAX, type KeySet, parseKeySet } from "../policy/jwt/key-set.ts";
import { memberOf, parseStrictJson } from "../policy/jwt/strict-json.ts";
import type { Counter, MetricScope } from "../telemetry/metrics.ts";
import { GuardedFetch, type UrlSource } from "./guarded-fetch.ts";

/** Where keys are; with `issuer`, by discovery. */
export type KeyPlace = { readonly uri: string } | { readonly issuer: string };

export interface RemoteKeySetOptions {
  readonly place: KeyPlace;
  /** Of one fetch. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** Of servers; the system's unless told. */
  readonly roots?: () => TrustSource;
  /** Made with what limits a fetch; a GuardedFetch unless told. */
  readonly sourceOf?: (limits: FetchLimits) => UrlSource;
}

export interface FetchLimits {
  readonly bytesMax: number;
  readonly timeoutMs: number;
  readonly roots: () => TrustSource;
}

const REFRESH_MS = 20 * 60_000;
/** Proxies that started together do not come together. */
const REFRESH_SPREAD = 0.1;
/** Between fetches that unknown keys cause. */
const SEEK_PAUSE_MS = 10_000;
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;
const LISTENERS_MAX = 1_000;
const DEPTH_MAX = 16;
const DISCOVERY_PATH = "/.well-known/openid-configuration";

export class RemoteKeySet {
  readonly #options: RemoteKeySetOptions;
  readonly #source: UrlSource;
  readonly #listeners = new Set<() => void>();
  readonly #good: Counter;
  readonly #bad: Counter;
  #keys: KeySet | undefined = undefined;
  /** Of `#keys`: the same text is the same keys. */
  #text = "";
  #isFetching = false;
  #isStarted = false;
  #isClosed = false;
  #failures = 0;
  /** Before it no token causes a fetch. */
  #pauseEndsMs = Number.NEGATIVE_INFINITY;
  #cancelNext: (() => void) | undefined = undefined;
  /** Why there are no newer keys; "": there is nothing wrong. */
  problem = "";

  constructor(options: RemoteKeySetOptions) {
    const { clock, timeoutMs, metrics, roots, sourceOf } = options;
    this.#options = options;
    const limits = { bytesMax: KEY_SET_BYTES_MAX, timeoutMs, roots: roots ?? systemRoots() };
    this.#source = sourceOf?.(limits) ?? new GuardedFetch({ clock, ...limits });
    const help = "Fetches of the keys that verify tokens.";
    const of = (result: string): Counter =>
      metrics.counter("mesh_jwks_fetches_total", help, { from: this.name, result });
    this.#good = of("ok");
    this.#bad = of("failed");
  }

  /** For people. */
  get name(): string {
    const { place } = this.#options;
    return "uri" in place ? place.uri : place.issuer;
  }

  /** The last good ones, the same object as long as they are the same; undefined: none came yet. */
  get keys(): KeySet | undefined {
    return this.#keys;
  }

  get isFetching(): boolean {
    return this.#isFetching;
  }

  /** Fetches, now and from time to time. */
  start(): void {
    if (this.#isStarted || this.#isClosed) return;
    this.#isStarted = true;
    this.#begin();
  }

  /** No more fetches but those that tokens cause. */
  rest(): void {
    this.#isStarted = false;
    this.#cancelNext?.();
    this.#cancelNext = undefined;
  }

  /** Some token needs a key that is not there. True: a fetch is under way that may bring it. */
  seek(): boolean {
    if (this.#isFetching) return true;
    if (this.#isClosed || this.#options.clock.nowMs() < this.#pauseEndsMs) return false;
    this.#begin();
    return true;
  }

  /**
   * `listener` is told once when the fetch under way is over, however it ended. Returns what takes
   * it back; undefined: too many wait already.
   */
  whenFetched(listener: () => void): (() => void) | undefined {
    if (this.#listeners.size >= LISTENERS_MAX) return undefined;
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#isClosed = true;
    this.#listeners.clear();
    this.rest();
    this.#source.abort();
  }

  #begin(): void {
    if (this.#isFetching || this.#isClosed) return;
    this.#cancelNext?.();
    this.#cancelNext = undefined;
    this.#isFetching = true;
    this.#pauseEndsMs = this.#options.clock.nowMs() + SEEK_PAUSE_MS;
    void this.#run();
  }

  async #run(): Promise<void> {
    const fetched = await this.#fetchKeys();
    if (this.#isClosed) return;
    this.#isFetching = false;
    if ("why" in fetched) this.#failed(fetched.why);
    else this.#take(fetched.text, fetched.keys);
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }

  #take(text: string, keys: KeySet): void {
    const { log, random } = this.#options;
    this.#good.increment();
    this.#failures = 0;
    if (text !== this.#text || this.#keys === undefined) {
      this.#keys = keys;
      this.#text = text;
      const skipped = keys.skipped.slice(0, 3).join("; ");
      log.info("keys were fetched", {
        ...{ from: this.name, keys: keys.keys.length },
        ...(skipped !== "" && { skipped }),
      });
    } else if (this.problem !== "") log.info("keys can be fetched again", { from: this.name });
    this.problem = "";
    this.#nextAfter(REFRESH_MS * (1 + (random() * 2 - 1) * REFRESH_SPREAD));
  }

  #failed(why: string): void {
    const { clock, log, random } = this.#options;
    this.#bad.increment();
    if (why !== this.problem) log.warn("keys cannot be fetched", { from: this.name, why });
    this.problem = why;
    const ms = backoffMs(this.#failures++, RETRY_BASE_MS, RETRY_MAX_MS, random);
    // With keys at hand a token of an unknown one waits as long as ever.
    if (this.#keys === undefined) this.#pauseEndsMs = clock.nowMs() + ms;
    this.#nextAfter(ms);
  }

  #nextAfter(ms: number): void {
    if (!this.#isStarted) return;
    this.#cancelNext = this.#options.clock.after(ms, () => this.#begin());
  }

  async #fetchKeys(): Promise<{ text: string; keys: KeySet } | { why: string }> {
    const { place } = this.#options;
    const found = "uri" in place ? { uri: place.uri } : await this.#discover(place.issuer);
    if ("why" in found) return found;
    const fetched = await this.#source.get(found.uri);
    if (fetched.at === "failed") return { why: fetched.why };
    const text = new TextDecoder().decode(fetched.body);
    const keys = parseKeySet(text);
    return "fault" in keys ? { why: keys.text } : { text, keys };
  }

  async #discover(issuer: string): Promise<{ uri: string } | { why: string }> {
    if (!isHttpUrl(issuer)) return { why: "the issuer is no URL, so its keys cannot be found" };
    const fetched = await this.#source.get(`${issuer.replace(/\/$/, "")}${DISCOVERY_PATH}`);
    if (fetched.at === "failed") return { why: `discovery: ${fetched.why}` };
    const document = parseStrictJson(fetched.body, DEPTH_MAX);
    if (document === undefined) return { why: "discovery: is no JSON" };
    if ((memberOf(document, "issuer") ?? issuer) !== issuer)
      return { why: "discovery: speaks for another issuer" };
    const uri = memberOf(document, "jwks_uri");
    if (typeof uri !== "string" || !isHttpUrl(uri)) return { why: "discovery: has no jwks_uri" };
    if (isSecureUrl(issuer) && !isSecureUrl(uri))
      return { why: "discovery: leads to keys without TLS" };
    return { uri };
  }
}

export function isHttpUrl(text: string): boolean {
  return /^https?:\/\/[^/?#]/i.test(text) && URL.canParse(text);
}

function isSecureUrl(text: string): boolean {
  return /^https:/i.test(text);
}

/** Read when the first server is met, and once. */
function systemRoots(): () => TrustSource {
  let source: TrustSource | undefined;
  return () => {
    source ??= systemTrust();
    return source;
  };
}
