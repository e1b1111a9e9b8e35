/** redisquota: what a real Redis grants under our scripts, and what a broken one leads to. */
import { readFileSync } from "node:fs";
import { redisQuota } from "../../adapter/redis-quota.ts";
import { systemClock } from "../../core/clock.ts";
import type { QuotaResult } from "../../policy/result.ts";
import { adapterEnvironment, openRemote, problemsOf } from "../../testing/adapter-environment.ts";
import { fakeRedis } from "../../testing/fake-redis.ts";
import { redisServer, startRedis } from "../../testing/redis-server.ts";
import { toDimensions, type VectorValue } from "./mixer-adapter-values.ts";
import { difference } from "./mixer-adapters.ts";
import { type Suite, Verdicts } from "./suite.ts";

interface Written {
  readonly name?: string;
  readonly maxAmount?: number;
  readonly algorithm?: string;
  readonly rateLimitAlgorithm?: string;
  readonly validDuration?: string;
  readonly bucketDuration?: string;
  readonly validDuration_ns?: number;
  readonly bucketDuration_ns?: number;
  readonly overrides?: readonly object[];
}

interface Op {
  readonly at_s: number;
  readonly amount: number;
  readonly best_effort: boolean;
  readonly dedup_id: string;
  readonly granted: number;
  readonly valid_duration_s?: number;
  readonly valid_duration_ns?: number;
  readonly dimensions?: Readonly<Record<string, VectorValue>>;
}

interface Vector {
  readonly kind: string;
  readonly test: string;
  readonly name?: string;
  readonly quota?: Written;
  readonly instance?: {
    readonly name: string;
    readonly dimensions: Readonly<Record<string, VectorValue>>;
  };
  readonly base_unix_s?: number;
  readonly ops?: readonly Op[];
  readonly config?: { readonly quotas: readonly Written[] } & Readonly<Record<string, unknown>>;
  readonly quota_instances?: readonly string[];
  readonly errors?: readonly string[];
  readonly evalsha_reply?: unknown;
  readonly status_code?: number;
  readonly status_message?: string;
}

export const redisSuites: readonly Suite[] = [{ file: "mixer/adapter_redisquota.json", run }];

async function run(path: string) {
  const verdicts = new Verdicts();
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: readonly Vector[] };
  for (const [i, vector] of cases.entries()) {
    const name = `${vector.kind} ${vector.name ?? vector.test}#${i}`;
    if (vector.kind === "config_validation") verdicts.judge(name, judgeParameters(vector));
    else if (vector.kind === "redis_failure") verdicts.judge(name, await judgeFailure(vector));
    else if (redisServer === null) verdicts.skip(name, "redis-server is not installed");
    else verdicts.judge(name, await judgeSequence(vector));
  }
  return verdicts.result();
}

function quotaOf(written: Written, name: string) {
  const { validDuration_ns: valid, bucketDuration_ns: bucket } = written;
  return {
    name: written.name ?? name,
    maxAmount: written.maxAmount ?? 0,
    validDuration: valid === undefined ? (written.validDuration ?? "0s") : `${valid}ns`,
    bucketDuration: bucket === undefined ? (written.bucketDuration ?? "0s") : `${bucket}ns`,
    rateLimitAlgorithm: written.rateLimitAlgorithm ?? written.algorithm ?? "FIXED_WINDOW",
    ...(written.overrides !== undefined && { overrides: written.overrides }),
  };
}

async function judgeSequence(vector: Vector): Promise<string | undefined> {
  const { quota = {}, instance, base_unix_s: base = 0, ops = [] } = vector;
  const server = await startRedis();
  const written = quotaOf(quota, "q");
  const parameters = { redisServerUrl: `127.0.0.1:${server.port}`, quotas: [written] };
  const environment = { ...adapterEnvironment(), clock: systemClock };
  const handler = openRemote(redisQuota, parameters, environment);
  try {
    for (const [i, op] of ops.entries()) {
      const { amount, best_effort: bestEffort, dedup_id: dedupId, at_s: at } = op;
      const dimensions = toDimensions(op.dimensions ?? instance?.dimensions ?? {});
      const request = { amount, bestEffort, dedupId, nowMs: (base + at) * 1_000 };
      const asked = { template: "quota", name: written.name, dimensions } as const;
      const why = judgeOp(op, await handler.allocate?.(asked, request));
      if (why !== undefined) return `op ${i} at ${at} s: ${why}`;
    }
    return undefined;
  } finally {
    handler.close();
    await server.stop();
  }
}

/** Times are compared to the millisecond, since the original wrote them with 14 digits. */
function judgeOp(op: Op, result: QuotaResult | undefined): string | undefined {
  const wantedMs = (op.valid_duration_s ?? (op.valid_duration_ns ?? 0) / 1e9) * 1_000;
  const { granted, validDurationMs = 0, code } = result ?? {};
  const near = Math.abs(validDurationMs - wantedMs) <= 1;
  const facts = { granted, validMs: near ? wantedMs : validDurationMs, code };
  return difference(facts, {
    granted: op.granted,
    validMs: wantedMs,
    code: op.granted > 0 ? 0 : 8,
  });
}

/**
 * By the fields that are wrong: we name all of them, the original stops at the first of a quota. A
 * server that cannot be reached is no mistake of who wrote the rule, and shows at run time.
 */
function judgeParameters(vector: Vector): string | undefined {
  const { config = { quotas: [] }, quota_instances: names = [], errors = [] } = vector;
  const { redisServerUrl: url, quotas } = config;
  const written = {
    ...config,
    redisServerUrl: url === "<reachable>" ? "localhost:6379" : url,
    quotas: quotas.map((quota) => quotaOf(quota, "")),
  };
  const bound = names.map((name) => ({ name, template: "quota" }) as const);
  const problems = problemsOf(redisQuota, written, bound);
  const found = problems.map((problem) => lastName(problem.split(":")[0]!));
  const wanted = errors
    .filter((error) => !error.startsWith("redisquota: could not create a connection"))
    .map((error) => lastName(error.split(":")[0]!));
  const missing = wanted.filter((field) => !found.includes(field));
  const complete = missing.length === 0 && found.length > 0 === wanted.length > 0;
  return complete ? undefined : `finds ${JSON.stringify(problems)}, not ${wanted}`;
}

function lastName(path: string): string {
  const name = path
    .split(".")
    .at(-1)!
    .replace(/\[\d+\]$/, "");
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

async function judgeFailure(vector: Vector): Promise<string | undefined> {
  const server = fakeRedis(vector.evalsha_reply);
  const parameters = {
    redisServerUrl: `127.0.0.1:${server.port}`,
    quotas: [{ name: "fixed-window", maxAmount: 10, validDuration: "10s" }],
  };
  const environment = { ...adapterEnvironment(), clock: systemClock };
  const handler = openRemote(redisQuota, parameters, environment);
  const dimensions = toDimensions({ source: "test" });
  const request = { amount: 5, bestEffort: true, dedupId: "", nowMs: 1.5e12 };
  const asked = { template: "quota", name: "fixed-window", dimensions } as const;
  const result = await handler.allocate?.(asked, request);
  handler.close();
  server.stop();
  // Of an answer that makes no sense, the words are those of Go.
  const { status_code: code, status_message: message } = vector;
  const words = code === 14 || code === 8;
  const wanted = words ? { code, message } : { code };
  return difference(
    words ? { code: result?.code, message: result?.message } : { code: result?.code },
    wanted,
  );
}
