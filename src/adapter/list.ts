/**
 * list, once listchecker: whether a value is on a list that is written in the rule, fetched from a
 * URL, or both. Spec: mixer 6.
 *
 *   fetch ──good──▶ the list, for `ttl` ──refreshInterval──▶ fetch
 *     └──bad──▶ the former list stays until its ttl is over; then, as before the first fetch,
 *               nobody knows: a fault, and the rule's fail policy decides
 */
import { list as listOf, message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { checkedText, flag, integer, oneOf, text } from "../dialect/schema/scalar.ts";
import { type Environment, type LocalHandler, localAdapter } from "../policy/adapter.ts";
import { span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type CheckResult, checkFault } from "../policy/result.ts";
import { StatusCode } from "../policy/status-code.ts";
import type { AnyInstance } from "../policy/template.ts";
import { valueText } from "../policy/value-text.ts";
import type { Gauge } from "../telemetry/metrics.ts";
import { BoundedFetch } from "./bounded-fetch.ts";
import {
  compileEntries,
  type Entries,
  type EntryType,
  entryProblem,
  entryTypes,
  readList,
} from "./list-entries.ts";

interface Parameters {
  /** Empty: all of the list is in `overrides`. */
  readonly providerUrl: string;
  readonly refreshIntervalMs: number;
  readonly ttlMs: number;
  readonly cachingIntervalMs: number;
  readonly cachingUseCount: number;
  readonly overrides: readonly string[];
  readonly entryType: EntryType;
  /** Being on the list is what is denied. */
  readonly blacklist: boolean;
}

const BODY_BYTES_MAX = 16 * 1024 * 1024;
const FETCH_MS_MAX = 10_000;
/** Of a value in a message. */
const VALUE_MAX = 256;

const providerUrl = checkedText((url) =>
  url === "" || /^https?:\/\/[^/?#]/i.test(url) ? undefined : "URL scheme and host cannot be empty",
);

const fields = message({
  providerUrl,
  refreshInterval: span(1_000),
  ttl: span(),
  cachingInterval: span(),
  cachingUseCount: integer({ least: 0 }),
  overrides: listOf(text),
  entryType: oneOf(...entryTypes),
  blacklist: flag,
});

function read(place: Place): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  const { entryType = "STRINGS", overrides = [] } = value;
  const parameters: Parameters = {
    providerUrl: value.providerUrl ?? "",
    refreshIntervalMs: value.refreshInterval ?? 60_000,
    ttlMs: value.ttl ?? 300_000,
    cachingIntervalMs: value.cachingInterval ?? 300_000,
    cachingUseCount: value.cachingUseCount ?? 10_000,
    overrides,
    entryType,
    blacklist: value.blacklist ?? false,
  };
  for (const entry of overrides) value.at("overrides").check(entryProblem(entryType, entry));
  const { providerUrl: url, ttlMs, refreshIntervalMs } = parameters;
  if (url !== "" && place.reading.errors === 0 && ttlMs < refreshIntervalMs)
    value.at("ttl").error("must be at least the refreshInterval, or the list is gone before it");
  return parameters;
}

class ListHandler implements LocalHandler {
  readonly #parameters: Parameters;
  readonly #environment: Environment;
  readonly #size: Gauge;
  readonly #fetch: BoundedFetch;
  readonly #ok: CheckResult;
  #entries: Entries | undefined;
  #goodUntilMs = Number.POSITIVE_INFINITY;
  #cancelRefresh: () => void = () => {};
  #closed = false;

  constructor(parameters: Parameters, environment: Environment) {
    this.#parameters = parameters;
    this.#environment = environment;
    const { handler, metrics, clock } = environment;
    const what = "Entries of the list that is in force.";
    this.#size = metrics.gauge("mesh_list_entries", what, { handler }, "max");
    this.#fetch = new BoundedFetch(clock, {
      bytesMax: BODY_BYTES_MAX,
      timeoutMs: Math.min(FETCH_MS_MAX, parameters.refreshIntervalMs),
    });
    this.#ok = this.#answer(StatusCode.ok, "");
    if (parameters.providerUrl === "") this.#publish(parameters.overrides);
    else void this.#refresh();
  }

  check(instance: AnyInstance): CheckResult {
    if (instance.template !== "listentry")
      return checkFault(`cannot check ${instance.template}`, StatusCode.unimplemented);
    if (this.#entries === undefined || this.#isStale())
      return checkFault("the list is not available");
    const found = this.#entries.has(instance.value);
    const { blacklist } = this.#parameters;
    if (found !== "invalid" && found !== blacklist) return this.#ok;
    const value = valueText(instance.value).slice(0, VALUE_MAX);
    if (found === "invalid")
      return this.#answer(StatusCode.invalidArgument, `${value} is not a valid IP address`);
    const what = blacklist ? "blacklisted" : "not whitelisted";
    return this.#answer(StatusCode.permissionDenied, `${value} is ${what}`);
  }

  /** A list without a provider never is. */
  #isStale(): boolean {
    const untilMs = this.#goodUntilMs;
    return untilMs !== Number.POSITIVE_INFINITY && this.#environment.clock.nowMs() > untilMs;
  }

  close(): void {
    this.#closed = true;
    this.#cancelRefresh();
    this.#fetch.abort();
  }

  #answer(code: StatusCode, text: string): CheckResult {
    const { cachingIntervalMs, cachingUseCount } = this.#parameters;
    return {
      code,
      message: text,
      validDurationMs: cachingIntervalMs,
      validUseCount: cachingUseCount,
      isFault: false,
    };
  }

  #publish(entries: readonly string[]): void {
    this.#entries = compileEntries(this.#parameters.entryType, entries);
    this.#size.set(this.#entries.size);
  }

  async #refresh(): Promise<void> {
    const { providerUrl: url, entryType, overrides, ttlMs, refreshIntervalMs } = this.#parameters;
    const { clock, log } = this.#environment;
    const fetched = await this.#fetch.text(url);
    if (this.#closed) return;
    const entries = fetched.at === "done" ? readList(entryType, fetched.body) : fetched.why;
    if (typeof entries === "string") {
      log.warn("list not refreshed", { handler: this.#environment.handler, why: entries });
    } else {
      this.#publish([...entries, ...overrides]);
      this.#goodUntilMs = clock.nowMs() + ttlMs;
    }
    if (clock.nowMs() > this.#goodUntilMs) this.#entries = undefined;
    this.#cancelRefresh = clock.after(refreshIntervalMs, () => void this.#refresh());
  }
}

export const list = localAdapter<Parameters>({
  name: "listchecker",
  aliases: ["list"],
  templates: ["listentry"],
  read,
  open: (parameters, environment) => new ListHandler(parameters, environment),
});
