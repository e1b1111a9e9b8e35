/** What adapters answer: denier, list, memquota and the forms of values as text. */
import { readFileSync } from "node:fs";
import { denier } from "../../adapter/denier.ts";
import { list } from "../../adapter/list.ts";
import { memoryQuota } from "../../adapter/memory-quota.ts";
import { overrideFor, QuotaKeys } from "../../adapter/quota-key.ts";
import { RollingWindow } from "../../adapter/rolling-window.ts";
import { systemClock } from "../../core/clock.ts";
import type { LocalHandler } from "../../policy/adapter.ts";
import type { QuotaResult } from "../../policy/result.ts";
import { sameText, valueText } from "../../policy/value-text.ts";
import {
  adapterEnvironment,
  openLocal,
  problemsOf,
  type TestEnvironment,
} from "../../testing/adapter-environment.ts";
import { toDimensions, toTypedValue, type VectorValue } from "./mixer-adapter-values.ts";
import { type Suite, Verdicts } from "./suite.ts";

export const adapterSuites: readonly Suite[] = [
  suite("adapter_denier", judgeDenier),
  suite("adapter_string_helpers", judgeText),
  suite("adapter_list", judgeList),
  suite("adapter_memquota", judgeMemoryQuota),
];

type Judge<V> = (vector: V, name: string, verdicts: Verdicts) => void | Promise<void>;

function suite<V extends { readonly test?: string }>(name: string, judge: Judge<V>): Suite {
  return {
    file: `mixer/${name}.json`,
    run: async (path) => {
      const verdicts = new Verdicts();
      const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: readonly V[] };
      for (const [i, vector] of cases.entries())
        await judged(vector, `${vector.test ?? ""}#${i}`, { judge, verdicts });
      return verdicts.result();
    },
  };
}

/** What a case throws is why it failed. */
async function judged<V>(
  vector: V,
  name: string,
  { judge, verdicts }: { readonly judge: Judge<V>; readonly verdicts: Verdicts },
): Promise<void> {
  try {
    await judge(vector, name, verdicts);
  } catch (cause) {
    verdicts.judge(name, String(cause));
  }
}

/** Undefined where both are the same. */
export function difference(got: unknown, wanted: unknown): string | undefined {
  if (Bun.deepEquals(got, wanted)) return undefined;
  return `${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`;
}

interface DenierVector {
  readonly test: string;
  readonly supported_templates?: readonly string[];
  readonly check_result?: {
    readonly code: number;
    readonly valid_duration_s: number;
    readonly valid_use_count: number;
  };
  readonly quota_result?: unknown;
}

function judgeDenier(vector: DenierVector, name: string, verdicts: Verdicts): void {
  const { supported_templates: templates, check_result: wanted } = vector;
  const handler = openLocal(denier, {});
  if (templates !== undefined)
    verdicts.judge(`${name} templates`, difference(denier.templates, templates));
  if (wanted !== undefined) {
    const got = handler.check?.({ template: "checknothing", name: "n" });
    const facts = {
      code: got?.code,
      valid_duration_s: (got?.validDurationMs ?? 0) / 1_000,
      valid_use_count: got?.validUseCount,
    };
    verdicts.judge(name, difference(facts, wanted));
  } else {
    const request = { amount: 100, bestEffort: true, dedupId: "", nowMs: 0 };
    const got = handler.allocate?.({ template: "quota", name: "q" }, request);
    const why = got?.granted === 0 && got.code === 0 ? undefined : JSON.stringify(got);
    verdicts.judge(name, why);
  }
}

interface TextVector {
  readonly kind: "stringify" | "string_equals";
  readonly test: string;
  readonly value?: VectorValue | null;
  readonly a?: VectorValue | null;
  readonly b?: VectorValue | null;
  readonly want: string | boolean;
  readonly stringify_b?: string;
}

function judgeText(vector: TextVector, name: string, verdicts: Verdicts): void {
  if (vector.kind === "stringify")
    return verdicts.judge(name, difference(valueText(toTypedValue(vector.value)), vector.want));
  const [a, b] = [toTypedValue(vector.a), toTypedValue(vector.b)];
  const got = { same: sameText(a, b), text: vector.stringify_b && valueText(b) };
  verdicts.judge(name, difference(got, { same: vector.want, text: vector.stringify_b }));
}

interface ListVector {
  readonly test: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly provider_data?: string;
  readonly checks?: readonly {
    readonly value: string;
    readonly observed: {
      readonly code?: number;
      readonly message?: string;
      readonly error?: boolean;
    };
  }[];
  readonly observed_num_entries?: number;
  readonly observed_fetch_error?: boolean;
  readonly observed_validation_errors?: readonly string[] | null;
}

async function judgeList(vector: ListVector, name: string, verdicts: Verdicts): Promise<void> {
  const { config, provider_data: body, checks = [], observed_validation_errors: errors } = vector;
  const problems = problemsOf(list, config);
  const wanted = (errors ?? []).map((error) => error.split(":")[0]);
  const got = problems.map((problem) => problem.split(":")[0]);
  verdicts.judge(`${name} validation`, difference(got, wanted));
  const { observed_num_entries: entries, observed_fetch_error: unfetched = false } = vector;
  if (problems.length > 0 || (checks.length === 0 && entries === undefined && !unfetched)) return;
  const server =
    body === undefined ? undefined : Bun.serve({ port: 0, fetch: () => new Response(body) });
  const provider = server && { providerUrl: `http://127.0.0.1:${server.port}/` };
  const environment = { ...adapterEnvironment(), clock: systemClock };
  const handler = openLocal(list, { ...config, ...provider }, environment);
  if (server !== undefined) await settled(handler, environment.lines);
  if (unfetched || entries !== undefined) {
    const got = { unfetched: environment.lines.length > 0, entries: entriesOf(environment) };
    const wanted = { unfetched, entries: entries ?? 0 };
    verdicts.judge(`${name} entries`, difference(got, wanted));
  }
  const written = `${JSON.stringify(config.overrides ?? [])}${body ?? ""}`;
  const bareIpv6 =
    config.entryType === "IP_ADDRESSES" && /[0-9a-f]:[0-9a-f:]*["'\s]/i.test(written);
  for (const { value, observed } of checks) {
    if (bareIpv6 && value.includes(":")) {
      verdicts.skip(`${name} ${value}`, "departs: an IPv6 address without a length is one address");
      continue;
    }
    const typed = { type: "STRING", value } as const;
    const answer = handler.check?.({ template: "listentry", name: "l", value: typed });
    const facts = answer?.isFault
      ? { error: true }
      : { code: answer?.code, message: answer?.message };
    const expected = observed.error
      ? { error: true }
      : { code: observed.code, message: observed.message };
    verdicts.judge(`${name} ${value}`, difference(facts, expected));
  }
  handler.close();
  await server?.stop(true);
}

function entriesOf({ registry }: Pick<TestEnvironment, "registry">): number {
  const { families, values } = registry.view();
  const family = families.find(({ name }) => name === "mesh_list_entries");
  return values[family?.series[0]?.slot ?? 0] ?? 0;
}

/** The first fetch is over: the list answers, or a line of the log says why it does not. */
async function settled(handler: LocalHandler, lines: readonly string[]): Promise<void> {
  const probe = { template: "listentry", name: "l" } as const;
  const endMs = performance.now() + 5_000;
  while (handler.check?.(probe).isFault && lines.length === 0 && performance.now() < endMs)
    await Bun.sleep(1);
}

interface QuotaOp {
  readonly op?: "alloc" | "release";
  readonly amount: number;
  readonly tick?: number;
  readonly result?: boolean | number;
  readonly available?: number;
  readonly at_ms?: number;
  readonly best_effort?: boolean;
  readonly dedup_id?: string;
  readonly dimensions?: Readonly<Record<string, VectorValue>>;
  readonly granted?: number;
  readonly valid_duration_ns?: number;
}

interface MemoryQuotaVector {
  readonly kind: string;
  readonly test: string;
  readonly limit?: number;
  readonly ticks_in_window?: number;
  readonly ops?: readonly QuotaOp[];
  readonly steps?: readonly Readonly<Record<string, never>>[];
  readonly quota?: unknown;
  readonly quotas?: unknown;
  readonly config?: unknown;
  readonly invalid?: boolean;
  readonly name?: string;
  readonly dimensions?: Readonly<Record<string, VectorValue>>;
  readonly instance_dimensions?: Readonly<Record<string, VectorValue | string>>;
  readonly maxAmount?: number;
  readonly overrides?: readonly {
    readonly dimensions: Readonly<Record<string, string>>;
    readonly maxAmount: number;
  }[];
  readonly base_unix_s?: number;
  readonly min_deduplication_duration?: string;
}

function judgeMemoryQuota(vector: MemoryQuotaVector, name: string, verdicts: Verdicts): void {
  const judge = judges[vector.kind];
  if (/"validDuration":"(\d*\.\d+s|\d+ms)"/.test(JSON.stringify(vector)))
    return verdicts.skip(name, "departs: a window is as long as it says, not of whole seconds");
  if (judge === undefined) verdicts.skip(name, `cases of the kind ${vector.kind} are unknown`);
  else verdicts.judge(`${vector.kind} ${name}`, judge(vector));
}

const judges: Readonly<Record<string, (vector: MemoryQuotaVector) => string | undefined>> = {
  rolling_window: ({ limit = 0, ticks_in_window: ticks = 0, ops = [] }) => {
    const window = new RollingWindow(limit, ticks);
    return firstOf(ops, ({ op, amount, tick = 0, result, available }) => {
      const got = op === "alloc" ? window.take(amount, tick) : window.release(amount, tick);
      return difference([got, window.available(tick)], [result, available]);
    });
  },
  handler_sequence: (vector) => {
    const handler = openLocal(memoryQuota, {
      quotas: [vector.quota],
      minDeduplicationDuration: vector.min_deduplication_duration,
    });
    const baseMs = (vector.base_unix_s ?? 0) * 1_000;
    return firstOf(vector.ops ?? [], (op) => {
      const { amount, best_effort: bestEffort = false, dedup_id: dedupId = "" } = op;
      const dimensions = toDimensions(op.dimensions ?? {});
      const request = { amount, bestEffort, dedupId, nowMs: baseMs + (op.at_ms ?? 0) };
      const got = handler.allocate?.({ template: "quota", name: "q", dimensions }, request);
      return difference(answerOf(got), [op.granted, op.valid_duration_ns]);
    });
  },
  alloc_release_sequence: ({ quotas, dimensions: written = {}, steps = [] }) => {
    const handler = openLocal(memoryQuota, { quotas, minDeduplicationDuration: "3600s" });
    const dimensions = toDimensions(written);
    return firstOf(steps, (step) => {
      const { quota: name, dedup, seconds, alloc_amount: amount, release_amount: back } = step;
      const instance = { template: "quota", name: String(name), dimensions } as const;
      const at = { bestEffort: step.best_effort ?? false, nowMs: 1.5e12 + Number(seconds) * 1_000 };
      const request = { ...at, amount: Number(amount), dedupId: `A${dedup}` };
      const given = handler.allocate?.(instance, request);
      const release = { ...at, amount: 0 - Number(back), dedupId: `R${dedup}` };
      const got = [...answerOf(given), handler.allocate?.(instance, release).granted];
      const wanted = [step.alloc_result, step.valid_duration_ns, step.release_result];
      return difference(got, wanted);
    });
  },
  dedup_reap: ({ quota, steps = [] }) => {
    const handler = openLocal(memoryQuota, { quotas: [quota], minDeduplicationDuration: "1s" });
    let nowMs = 1.5e12;
    return firstOf(steps, ({ reap, alloc, dedup, granted }) => {
      if (reap) {
        nowMs += 1_000;
        return undefined;
      }
      const request = { amount: Number(alloc), bestEffort: false, dedupId: String(dedup), nowMs };
      const got = handler.allocate?.({ template: "quota", name: "Q1" }, request);
      return difference(got?.granted, granted);
    });
  },
  limit_selection: (vector) => {
    const dimensions = toDimensions(vector.instance_dimensions ?? {});
    const overrides = (vector.overrides ?? []).map(({ dimensions: of, maxAmount }) => ({
      dimensions: Object.entries(of),
      maxAmount,
    }));
    const got = overrideFor(overrides, dimensions)?.maxAmount ?? vector.maxAmount;
    return difference(got, vector.limit);
  },
  // The text of the original's keys is its own affair: here they have to differ.
  cell_key: ({ name = "", dimensions = {} }) => {
    const key = new QuotaKeys(name).keyOf(toDimensions(dimensions));
    const plain = Object.keys(dimensions).length === 0;
    return (key === name) === plain && key.startsWith(name) ? undefined : `gives ${key}`;
  },
  config_validation: ({ config, invalid = false }) =>
    difference(problemsOf(memoryQuota, config).length > 0, invalid),
};

function answerOf(result: QuotaResult | undefined): [number | undefined, number] {
  return [result?.granted, Math.round((result?.validDurationMs ?? 0) * 1e6)];
}

/** The first complaint, with the number of its step. */
export function firstOf<T>(
  steps: readonly T[],
  judge: (step: T) => string | undefined,
): string | undefined {
  for (const [i, step] of steps.entries()) {
    const why = judge(step);
    if (why !== undefined) return `step ${i}: ${why}`;
  }
  return undefined;
}
