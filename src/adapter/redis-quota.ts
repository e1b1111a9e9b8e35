/**
 * redisquota: rate limits that all mixers share, counted by a Redis server. Spec: mixer 7.
 *
 * A quota counts in fixed windows, of which the first request opens one, or in a window that rolls
 * on bucket by bucket. Redis away or late: UNAVAILABLE, nothing granted, and the caller decides.
 */

import { systemRandom } from "../core/random.ts";
import { list, mapOf, message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { checkedText, integer, oneOf, text } from "../dialect/schema/scalar.ts";
import { RedisScripts } from "../io/redis-scripts.ts";
import {
  type BoundInstance,
  type Environment,
  type RemoteHandler,
  remoteAdapter,
} from "../policy/adapter.ts";
import { amounts, span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import {
  type QuotaRequest,
  type QuotaResult,
  quotaFault,
  quotaGranted,
  quotaRefused,
} from "../policy/result.ts";
import { StatusCode } from "../policy/status-code.ts";
import type { AnyInstance } from "../policy/template.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { type Override, overrideFor, QuotaKeys } from "./quota-key.ts";
import { fixedWindow, rollingWindow } from "./redis-quota-scripts.ts";

interface RedisOverride extends Override {
  readonly maxAmount: number;
}

interface Quota {
  readonly name: string;
  readonly maxAmount: number;
  readonly validDurationMs: number;
  readonly bucketDurationMs: number;
  readonly algorithm: "FIXED_WINDOW" | "ROLLING_WINDOW";
  readonly overrides: readonly RedisOverride[];
}

interface Parameters {
  readonly url: string;
  readonly quotas: readonly Quota[];
}

const TIMEOUT_MS = 1_000;
/** Of an id in a key. */
const ID_MAX = 200;

const server = checkedText((value) => {
  if (value === "") return "must not be empty";
  return URL.canParse(urlOf(value)) ? undefined : "is no host:port and no redis:// URL";
});

function urlOf(written: string): string {
  return /^(redis|rediss):\/\//.test(written) ? written : `redis://${written}`;
}

const overrideFields = message({ dimensions: mapOf(text), maxAmount: integer(amounts) });
const quotaFields = message({
  name: text,
  maxAmount: integer(amounts),
  validDuration: span(),
  bucketDuration: span(),
  rateLimitAlgorithm: oneOf("FIXED_WINDOW", "ROLLING_WINDOW"),
  overrides: list(overrideFields),
});
const fields = message({
  redisServerUrl: server,
  connectionPoolSize: integer({ least: 0 }),
  quotas: list(quotaFields),
});

function read(place: Place, bound: readonly BoundInstance[]): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  if ((value.connectionPoolSize ?? 0) > 0)
    value.at("connectionPoolSize").warn("has no effect: one connection carries all requests");
  if (value.quotas === undefined || value.quotas.length === 0)
    value.at("quotas").error("must not be empty");
  const quotas = (value.quotas ?? []).map(readQuota);
  for (const { name, template } of bound)
    if (template === "quota" && !quotas.some((quota) => quota.name === name))
      value.at("quotas").error(`did not find limit defined for quota ${name}`);
  return { url: urlOf(value.redisServerUrl ?? "localhost:6379"), quotas };
}

type QuotaMessage = NonNullable<ReturnType<typeof quotaFields>>;

function readQuota(quota: QuotaMessage): Quota {
  const { name = "", validDuration = 0, bucketDuration = 0, overrides = [] } = quota;
  const algorithm = quota.rateLimitAlgorithm ?? "FIXED_WINDOW";
  if (name === "") quota.at("name").error("must not be empty");
  if (validDuration === 0) quota.at("validDuration").error("must be longer than 0s");
  if (algorithm === "ROLLING_WINDOW" && bucketDuration === 0)
    quota.at("bucketDuration").error("must be longer than 0s in a ROLLING_WINDOW");
  else if (algorithm === "ROLLING_WINDOW" && bucketDuration >= validDuration)
    quota.at("bucketDuration").error("must be shorter than the validDuration");
  return {
    name,
    maxAmount: quota.maxAmount ?? 0,
    validDurationMs: validDuration,
    bucketDurationMs: bucketDuration,
    algorithm,
    overrides: overrides.map((override) => {
      const { maxAmount = 0, dimensions = [] } = override;
      if (maxAmount === 0) override.at("maxAmount").error("must be more than 0");
      if (dimensions.length === 0) override.at("dimensions").error("must not be empty");
      return { maxAmount, dimensions: dimensions.map(({ key, value }) => [key, value] as const) };
    }),
  };
}

class RedisQuota implements RemoteHandler {
  readonly #quotas: ReadonlyMap<string, Quota & { readonly keys: QuotaKeys }>;
  readonly #redis: RedisScripts;
  readonly #environment: Environment;
  readonly #failed: Counter;

  constructor({ url, quotas }: Parameters, environment: Environment) {
    const { clock, handler, log, metrics } = environment;
    this.#environment = environment;
    this.#quotas = new Map(
      quotas.map((quota) => [quota.name, { ...quota, keys: new QuotaKeys(quota.name) }]),
    );
    const what = "Requests for quota that Redis did not answer as it should.";
    this.#failed = metrics.counter("mesh_redisquota_failed_total", what, { handler });
    this.#redis = new RedisScripts({
      url,
      clock,
      timeoutMs: TIMEOUT_MS,
      random: systemRandom,
      onChange: (what, why) =>
        what === "lost"
          ? log.warn("redis is not connected", { handler, why })
          : log.info("redis is connected", { handler }),
    });
  }

  async allocate(instance: AnyInstance, request: QuotaRequest): Promise<QuotaResult> {
    if (instance.template !== "quota" || request.amount <= 0) return quotaRefused;
    const quota = this.#quotas.get(instance.name);
    if (quota === undefined)
      return quotaFault(StatusCode.internal, `did not find limit for quota ${instance.name}`);
    const { dimensions = {} } = instance;
    const override = overrideFor(quota.overrides, dimensions);
    const base = quota.keys.keyOf(dimensions);
    const key = override === undefined ? base : `${base}-${dimensionsDigest(override)}`;
    const rolling = quota.algorithm === "ROLLING_WINDOW";
    const keys = [`${key}.meta`];
    if (rolling) keys.push(`${key}.data`);
    if (request.dedupId !== "") keys.push(`${shortId(request.dedupId)}-${key}.meta`);
    const parameters = [
      String(override?.maxAmount ?? quota.maxAmount),
      microseconds(quota.validDurationMs),
      String(request.amount),
      request.bestEffort ? "1" : "0",
      microseconds(request.nowMs),
    ];
    if (rolling) parameters.push(microseconds(quota.bucketDurationMs));
    const script = rolling ? rollingWindow : fixedWindow;
    return this.#resultOf(await this.#redis.run(script, keys, parameters));
  }

  close(): void {
    this.#redis.close();
  }

  #resultOf(reply: Awaited<ReturnType<RedisScripts["run"]>>): QuotaResult {
    if (reply.at === "failed") {
      this.#fail(reply.why);
      return quotaFault(StatusCode.unavailable, "redisquota: Service Unavailable");
    }
    const numbers: readonly unknown[] = Array.isArray(reply.value) ? reply.value : [];
    const [granted, validMicroseconds, waitMicroseconds] = numbers;
    if (typeof granted !== "number" || typeof validMicroseconds !== "number") {
      this.#fail("an answer that is not two numbers");
      return quotaFault(StatusCode.internal, "redisquota: invalid response from the redis server");
    }
    if (granted <= 0) {
      const refused = quotaFault(StatusCode.resourceExhausted, "redisquota: Resource exhausted");
      const waitMs = typeof waitMicroseconds === "number" ? waitMicroseconds / 1_000 : 0;
      return waitMs > 0 ? { ...refused, retryAfterMs: waitMs } : refused;
    }
    return quotaGranted(granted, validMicroseconds / 1_000);
  }

  #fail(why: string): void {
    this.#failed.increment();
    this.#environment.log.debug("quota not counted", { handler: this.#environment.handler, why });
  }
}

function microseconds(ms: number): string {
  return String(Math.round(ms * 1_000));
}

function shortId(id: string): string {
  return id.length <= ID_MAX ? id : new Bun.CryptoHasher("sha256").update(id).digest("hex");
}

/** FNV-1a of 32 bits of the override's dimensions, sorted. */
function dimensionsDigest({ dimensions }: Override): string {
  const sorted = dimensions.map(([name, value]) => `${name}=${value}`).sort();
  let digest = 0x811c9dc5;
  for (const octet of Buffer.from(sorted.join(";")))
    digest = Math.imul(digest ^ octet, 0x01000193) >>> 0;
  return String(digest);
}

export const redisQuota = remoteAdapter<Parameters>({
  name: "redisquota",
  templates: ["quota"],
  read,
  open: (parameters, environment) => new RedisQuota(parameters, environment),
});
