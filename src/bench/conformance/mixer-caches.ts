/** What a caller of the mixer keeps: answers, quotas fetched ahead, reports put together. */
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import {
  CheckResponse_PreconditionResultSchema,
  CheckResponse_QuotaResultSchema,
  type CheckResponse_QuotaResult as QuotaResult,
  type ReferencedAttributes,
  ReferencedAttributesSchema,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { MutableBag } from "../../attribute/bag.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import type { ValueType } from "../../attribute/value.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { StatusCode } from "../../policy/status-code.ts";
import { answerOf, validityOf } from "../../proxy/mixer-client/check-answer.ts";
import { CheckCache } from "../../proxy/mixer-client/check-cache.ts";
import { isGranted, QuotaCache, type QuotaFetch } from "../../proxy/mixer-client/quota-cache.ts";
import { shapeOf } from "../../proxy/mixer-client/referenced-shape.ts";
import { ReportBatch } from "../../proxy/mixer-client/report-batch.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { readVectors } from "./http-vector.ts";
import { type Typed, wireValue } from "./mixer-expressions.ts";
import { judgeSimulation, judgeSteps, type Simulation } from "./mixer-prefetch.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

type Attributes = Readonly<Record<string, Typed>>;

interface Case extends Simulation {
  readonly kind: string;
  readonly test: string;
  readonly name?: string;
  readonly num_entries?: number;
  readonly quota?: string;
  readonly referenced?: JsonObject;
  readonly fill_with?: Attributes;
  readonly fill_ok?: boolean;
  readonly absent?: readonly string[];
  readonly exact?: readonly string[];
  readonly signatures?: readonly { readonly attributes: Attributes; readonly matches: boolean }[];
  readonly attributes?: Attributes;
  readonly present_ok?: boolean;
  readonly absent_ok?: boolean;
  readonly max_entries?: number;
  readonly max_time_ms?: number;
  readonly reports?: number;
  readonly remote_calls?: number;
  readonly remote_calls_after_flush?: number;
  readonly steps?: readonly Step[];
}

interface Step {
  readonly op?: string;
  readonly at_ms?: number;
  readonly attributes?: Attributes;
  readonly hit?: boolean;
  readonly route_directive?: { readonly direct_response_code?: number };
  readonly check_response?: JsonObject;
  readonly resulting_status?: string;
  readonly charges?: readonly unknown[];
  readonly charge?: number;
  readonly use_cache?: boolean;
  readonly passed?: boolean | null;
  readonly remote_request?: { readonly amount_gt?: number } | string | null;
  readonly response?: JsonObject | string;
  readonly status_after_response?: string | null;
}

const bogus = "an answer that refers to words that nobody knows is not kept here";

function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: readonly Case[] }>(path).cases) {
    const name = `${one.kind} ${one.test} ${one.name ?? ""}`.trimEnd();
    const judge = judges[one.kind];
    if (judge === undefined) verdicts.skip(name, `cases of kind ${one.kind} are not read yet`);
    else if (one.kind === "server_key_shape" && /bogus/.test(one.name ?? ""))
      verdicts.skip(name, bogus);
    else verdicts.judge(name, judge(one));
  }
  return Promise.resolve(verdicts.result());
}

const judges: Readonly<Record<string, (one: Case) => string | undefined>> = {
  check_cache: judgeCheckCache,
  referenced: judgeReferenced,
  server_key_shape: judgeKeyShape,
  quota_cache: judgeQuotaCache,
  quota_prefetch_simulation: judgeSimulation,
  quota_prefetch_steps: (one) => judgeSteps(one as never),
  report_batch: judgeReportBatch,
};

/** Of all that the case speaks of. */
function vocabularyOf(one: Case): Vocabulary {
  const types = new Map<string, ValueType>();
  const bags = [one.attributes, one.fill_with, ...(one.signatures ?? []).map((s) => s.attributes)];
  for (const step of one.steps ?? []) bags.push(step.attributes);
  for (const attributes of bags)
    for (const [name, { type }] of Object.entries(attributes ?? {}))
      types.set(name, (type === "BYTES" ? "IP_ADDRESS" : type) as ValueType);
  for (const word of globalWords) if (!types.has(word)) types.set(word, "STRING");
  const words = (one.referenced?.words ?? []) as readonly string[];
  for (const word of words) if (!types.has(word)) types.set(word, "STRING");
  return new Vocabulary(types);
}

function bagOf(vocabulary: Vocabulary, attributes: Attributes = {}): MutableBag {
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of Object.entries(attributes)) bag.set(name, wireValue(value));
  return bag;
}

function judgeCheckCache(one: Case): string | undefined {
  const vocabulary = vocabularyOf(one);
  const cache = new CheckCache(one.num_entries ?? 10_000);
  for (const [i, step] of (one.steps ?? []).entries()) {
    const request = bagOf(vocabulary, step.attributes);
    const nowMs = step.at_ms ?? 0;
    if (step.op === "response") {
      const wanted = step.resulting_status ?? "OK";
      const code = storeResponse(cache, { step, vocabulary, request, nowMs });
      if (code !== codeNamed(wanted)) return `step ${i}: status ${code}, not ${wanted}`;
      continue;
    }
    const answer = cache.lookup(request, nowMs);
    if ((answer !== undefined) !== step.hit) return `step ${i}: hit is ${!step.hit}`;
    const direct = step.route_directive?.direct_response_code;
    if (direct !== undefined && answer?.direct?.code !== direct) return `step ${i}: no directive`;
  }
  return undefined;
}

function storeResponse(
  cache: CheckCache,
  at: { step: Step; vocabulary: Vocabulary; request: MutableBag; nowMs: number },
): StatusCode {
  const { step, vocabulary, request, nowMs } = at;
  const json = step.check_response?.precondition as JsonObject | undefined;
  // What is said about nothing is no answer.
  if (json === undefined) return StatusCode.invalidArgument;
  const precondition = fromJson(CheckResponse_PreconditionResultSchema, json);
  const answer = answerOf(precondition);
  const shape = shapeOf(precondition.referencedAttributes, vocabulary, request);
  cache.store(request, shape, answer, { ...validityOf(precondition), nowMs });
  return answer.code;
}

function codeNamed(name: string): StatusCode {
  const camel = name.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return StatusCode[camel as keyof typeof StatusCode];
}

function referencedOf(json: JsonObject | undefined): ReferencedAttributes {
  return fromJson(ReferencedAttributesSchema, json ?? {});
}

function judgeReferenced(one: Case): string | undefined {
  const vocabulary = vocabularyOf(one);
  const request = bagOf(vocabulary, one.fill_with);
  const shape = shapeOf(referencedOf(one.referenced), vocabulary, request);
  if ((shape !== undefined) !== one.fill_ok) return `decoded is ${shape !== undefined}`;
  for (const [isAbsent, wanted] of [[true, one.absent] as const, [false, one.exact] as const]) {
    const names = shape?.names(isAbsent).sort().join();
    if (wanted !== undefined && names !== [...wanted].sort().join()) return `refers to ${names}`;
  }
  for (const [i, { attributes, matches }] of (one.signatures ?? []).entries()) {
    const key = shape?.keyOf(bagOf(vocabulary, attributes));
    if ((key !== undefined) !== matches) return `request ${i}: of the shape is ${!matches}`;
  }
  return undefined;
}

function judgeKeyShape(one: Case): string | undefined {
  const vocabulary = vocabularyOf(one);
  const request = bagOf(vocabulary, one.attributes);
  const key = shapeOf(referencedOf(one.referenced), vocabulary, request)?.keyOf(request);
  const wanted = one.present_ok === true && one.absent_ok === true;
  return (key !== undefined) === wanted ? undefined : `of the shape is ${!wanted}`;
}

function judgeQuotaCache(one: Case): string | undefined {
  const vocabulary = vocabularyOf(one);
  const asked: { fetch: QuotaFetch; request: MutableBag }[] = [];
  const cache = new QuotaCache({
    ...{ vocabulary, entriesMax: 10_000, optimistic: true, closedMs: 500 },
    ask: (fetch, request) => asked.push({ fetch, request: request as MutableBag }),
  });
  for (const [i, step] of (one.steps ?? []).entries()) {
    if (step.charge === undefined) continue;
    const request = bagOf(vocabulary, step.attributes);
    const result = resultOf(step.response);
    if (step.use_cache === false) {
      const code = isGranted(result) ? "OK" : "RESOURCE_EXHAUSTED";
      if (code !== step.status_after_response) return `step ${i}: ${code}`;
      continue;
    }
    const need = { quota: one.quota ?? "", amount: step.charge };
    const taken = cache.take(need, request, 0, () => {});
    if ((taken === "granted") !== step.passed) return `step ${i}: ${taken}`;
    const fetch = asked.pop();
    const why = judgeFetch(step.remote_request, fetch?.fetch);
    if (why !== undefined) return `step ${i}: ${why}`;
    fetch?.fetch.answered(result, fetch.request, 0);
  }
  return undefined;
}

/** Where one is due, and of how much at least; "(if any)" says nothing. */
function judgeFetch(wanted: Step["remote_request"], fetch: QuotaFetch | undefined) {
  const amounts = typeof wanted === "object" ? wanted : wanted === "(prefetch)" ? {} : null;
  if (amounts === null) return undefined;
  if (fetch === undefined) return "no prefetch";
  const { amount_gt: more = 0 } = amounts;
  return fetch.amount > more ? undefined : `fetches ${fetch.amount}, not more than ${more}`;
}

function resultOf(response: Step["response"]): QuotaResult | undefined {
  if (typeof response !== "object") return undefined;
  return fromJson(CheckResponse_QuotaResultSchema, response);
}

function judgeReportBatch(one: Case): string | undefined {
  const clock = new VirtualClock();
  let calls = 0;
  const batch = new ReportBatch({
    clock,
    entriesMax: one.max_entries ?? 100,
    delayMs: one.max_time_ms ?? 1_000,
    send: () => calls++,
  });
  for (let i = 0; i < (one.reports ?? 0); i++) batch.add([]);
  if (calls !== one.remote_calls) return `${calls} calls`;
  batch.flush();
  if (one.remote_calls_after_flush === undefined) return undefined;
  return calls === one.remote_calls_after_flush ? undefined : `${calls} calls after the flush`;
}

export const cacheSuites: readonly Suite[] = [{ file: "mixer/check_quota_cache.json", run }];
