/**
 * Requests against rules, with fakes that answer what the case says: what comes of all answers. An
 * error of the original's call is here a fault, which the fail policy closed makes a denial.
 */
import { readFileSync } from "node:fs";
import { type AttributeBag, MutableBag } from "../../attribute/bag.ts";
import { parseDuration } from "../../attribute/duration.ts";
import { type TypedValue, type Value, type ValueType, valueTypes } from "../../attribute/value.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import type { LocalHandler } from "../../policy/adapter.ts";
import type { CheckResult, DirectResponse, QuotaResult } from "../../policy/result.ts";
import type { StatusCode } from "../../policy/status-code.ts";
import type { AnyInstance } from "../../policy/template.ts";
import type { HeaderChange, PolicyScope, Verdict } from "../../policy/verdict.ts";
import { difference } from "./mixer-adapters.ts";
import { wireValue } from "./mixer-expressions.ts";
import { fakeAttributes, resolveFakes } from "./mixer-fakes.ts";
import { fakeRuntime } from "./mixer-routing.ts";
import { type Suite, Verdicts } from "./suite.ts";

interface Status {
  readonly status_code: number;
  readonly status_message: string;
  readonly valid_duration: string;
}

interface FakeCheck extends Status {
  readonly valid_use_count: number;
  readonly details?: readonly {
    readonly direct_http_response?: Partial<DirectResponse>;
  }[];
}

interface FakeQuota extends Status {
  readonly amount: number;
}

/** As the original's fakes are told; a key that is not here is why a case is skipped. */
interface FakeTemplate {
  readonly Name: string;
  readonly CheckResults?: readonly FakeCheck[];
  readonly QuotaResults?: readonly FakeQuota[];
  readonly ErrorAtCreateInstance?: boolean;
  readonly ErrorOnDispatchCheck?: boolean;
  readonly ErrorOnDispatchReport?: boolean;
  readonly ErrorOnDispatchQuota?: boolean;
  readonly ErrorOnDispatchGenAttrs?: boolean;
  readonly PanicOnDispatchCheck?: boolean;
  readonly PanicOnDispatchReport?: boolean;
  readonly PanicOnDispatchQuota?: boolean;
  readonly PanicOnDispatchGenAttrs?: boolean;
}

const thrown = "error at dispatch";
const understood = /^(Name|(Check|Quota)Results|(Error|Panic)OnDispatch\w+)$/;

interface HeaderOperation {
  readonly name: string;
  readonly value?: string;
  readonly operation?: "REPLACE" | "REMOVE" | "APPEND";
}

interface Vector {
  readonly name: string;
  readonly config: readonly string[];
  readonly attributes: Readonly<Record<string, Parameters<typeof wireValue>[0]>>;
  readonly variety: string;
  readonly fake_adapters: unknown;
  readonly fake_templates: readonly FakeTemplate[] | null;
  readonly quota_args?: {
    readonly quota: string;
    readonly amount: number;
    readonly best_effort: boolean;
    readonly dedup_id: string;
  };
  readonly expect_error?: string;
  /** What the original's fakes were called with, a line each. */
  readonly expect_log?: string;
  readonly expect_check_result?: FakeCheck & {
    readonly route_directive?: {
      readonly requestHeaderOperations?: readonly HeaderOperation[];
      readonly responseHeaderOperations?: readonly HeaderOperation[];
      readonly directResponseCode?: number;
      readonly directResponseBody?: string;
    };
  };
  readonly expect_quota_result?: FakeQuota;
  readonly expect_response_attributes?: Vector["attributes"];
}

export const dispatchSuites: readonly Suite[] = [{ file: "mixer/dispatch.json", run }];

async function run(path: string): ReturnType<Suite["run"]> {
  const verdicts = new Verdicts();
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: readonly Vector[] };
  for (const one of cases) {
    const reason = whySkipped(one);
    if (reason !== undefined) verdicts.skip(one.name, reason);
    else verdicts.judge(one.name, await judge(one));
  }
  return verdicts.result();
}

function whySkipped({ fake_adapters: adapters, fake_templates: fakes }: Vector) {
  if (adapters !== null) return "fakes of adapters that this suite does not have";
  const strange = (fakes ?? []).flatMap((one) => Object.keys(one)).find((k) => !understood.test(k));
  if (strange === undefined) return undefined;
  return strange === "ErrorAtCreateInstance"
    ? "instances here are made of expressions: their own faults are judged, not a fake's"
    : `fakes here cannot ${strange}`;
}

async function judge(vector: Vector): Promise<string | undefined> {
  const { attributes, config, fake_templates: templates } = vector;
  const types: Record<string, ValueType> = {};
  for (const [attribute, { type }] of Object.entries(attributes))
    if (!Object.hasOwn(fakeAttributes, attribute))
      types[attribute] = valueTypes.find((known) => known === type) ?? "STRING";
  const fakes = new Fakes(templates ?? []);
  const { policy } = resolveFakes(config, { open: () => fakes.handler(), attributes: types });
  const runtime = fakeRuntime();
  runtime.publish(policy);
  const bag = new MutableBag(policy.vocabulary);
  for (const [attribute, value] of Object.entries(attributes)) bag.set(attribute, wireValue(value));
  // The original's tests name the service by "ident": dest.istio-system.
  const scope = runtime.current.scopeOf(identNamespace(attributes));
  const asked: Asked = { scope, bag, vocabulary: policy.vocabulary };
  const question = questions[vector.variety];
  const why = question === undefined ? "is of no variety" : await question(vector, asked);
  runtime.close();
  return why ?? difference(fakes.called.toSorted(), callsOf(vector.expect_log ?? "").sort());
}

/** "tquota Quota foo=bar 64 true": calls in any order, since the original's are parallel. */
function callsOf(log: string): string[] {
  const line = /^\[(\w+)\] Dispatch(\w+) => instances?:\s+'(.*?)'(?: qArgs:\{(.*)\})?$/gm;
  return [...log.matchAll(line)].flatMap(([, template, what, structs = "", args = ""]) => {
    const [, amount, best] = /amount:'(.*)', best:'(.*)'/.exec(args) ?? [];
    return structs
      .split("&Struct")
      .slice(1)
      .map((struct) => {
        const fields = [...struct.matchAll(/(\w+): &Value\{Kind:&Value_\w+\{\w+:([^,]*),\}/g)];
        const texts = fields.map(([, name, value]) => `${name}=${value}`).sort();
        return [template, what, ...texts, amount, best]
          .filter((part) => part !== undefined)
          .join(" ");
      });
  });
}

function callText(what: string, instance: AnyInstance, ...args: readonly unknown[]): string {
  const { template, name, ...fields } = instance;
  const texts = Object.entries(fields).map(([field, value]) => {
    const typed = value as unknown as TypedValue;
    return `${field}=${String(typed.value)}`;
  });
  return [template, what, ...texts.sort(), ...args].join(" ");
}

interface Asked {
  readonly scope: PolicyScope;
  readonly bag: AttributeBag;
  readonly vocabulary: Vocabulary;
}

/** What the fake threw has to be in the answer; the words around it are not the original's. */
function judgeFault({ code, message }: { readonly code: number; readonly message: string }) {
  if (code !== 0 && message.includes(thrown)) return undefined;
  return `answers ${code} ${message}, which is no fault of the fake's`;
}

type Question = (vector: Vector, asked: Asked) => Promise<string | undefined>;

const options = { nowMs: 0, onlyRemote: false };

const check: Question = async ({ expect_check_result: wanted, ...of }, { scope, bag }) => {
  const verdict = await scope.checkAll(bag, options);
  if (of.expect_error !== undefined) return judgeFault(verdict);
  return difference(checkFacts(verdict), wantedFacts(wanted));
};

const quota: Question = async (vector, { scope, bag }) => {
  const { quota_args: given, expect_quota_result: wanted } = vector;
  const { quota = "iquota1", amount = 0, best_effort: bestEffort = true } = given ?? {};
  const question = { quota, amount, bestEffort, dedupId: given?.dedup_id ?? "" };
  const answer = await scope.allocateAll(bag, question, options);
  if (vector.expect_error !== undefined) return judgeFault(answer);
  const facts = {
    amount: answer.granted,
    status_code: answer.code as number,
    status_message: answer.message,
    valid_duration_ms: answer.validDurationMs,
  };
  if (wanted === undefined) return difference(facts, undefined);
  const { valid_duration: duration, ...rest } = wanted;
  return difference(facts, { ...rest, valid_duration_ms: milliseconds(duration) });
};

const report: Question = async ({ expect_error: error }, { scope, bag }) => {
  const complaints = await scope.reportAll([bag], options);
  if (error !== undefined) return judgeFault({ code: 2, message: complaints.join("; ") });
  return complaints.length === 0 ? undefined : `complains: ${complaints.join("; ")}`;
};

/** A fault shows as a denial; what the fakes generate is bound to nothing by their instances. */
const generate: Question = async (vector, { scope, bag }) => {
  const { expect_error: error, expect_response_attributes: wanted = {} } = vector;
  const { code, message } = await scope.checkAll(bag, options);
  const why = error === undefined ? undefined : judgeFault({ code, message });
  if (why !== undefined) return why;
  if (code !== 0 && error === undefined) return `answers ${code} ${message}`;
  const strange = Object.keys(wanted).filter((name) => !Object.hasOwn(vector.attributes, name));
  return strange.length === 0 ? undefined : `is to generate ${strange.join(", ")}`;
};

const questions: Readonly<Record<string, Question>> = {
  TEMPLATE_VARIETY_CHECK: check,
  TEMPLATE_VARIETY_CHECK_WITH_OUTPUT: check,
  TEMPLATE_VARIETY_QUOTA: quota,
  TEMPLATE_VARIETY_REPORT: report,
  TEMPLATE_VARIETY_ATTRIBUTE_GENERATOR: generate,
};

function identNamespace(attributes: Vector["attributes"]): string {
  const ident = String(attributes.ident?.value ?? "");
  return ident.slice(ident.indexOf(".") + 1);
}

function checkFacts(verdict: Verdict): object {
  const { code, message, validDurationMs, validUseCount, direct } = verdict;
  return {
    code,
    message,
    validDurationMs,
    validUseCount,
    direct: direct === undefined ? undefined : { ...direct },
    request: verdict.requestHeaders,
    response: verdict.responseHeaders,
  };
}

function wantedFacts(wanted: Vector["expect_check_result"]): object | undefined {
  if (wanted === undefined) return undefined;
  const { route_directive: directive = {} } = wanted;
  const { directResponseCode: code = 0, directResponseBody: body = "" } = directive;
  return {
    code: wanted.status_code,
    message: wanted.status_message,
    validDurationMs: milliseconds(wanted.valid_duration),
    validUseCount: wanted.valid_use_count,
    direct: code === 0 ? undefined : { code, body },
    request: (directive.requestHeaderOperations ?? []).map(headerChange),
    response: (directive.responseHeaderOperations ?? []).map(headerChange),
  };
}

function headerChange({ name, value = "", operation = "REPLACE" }: HeaderOperation): HeaderChange {
  return { name, value, operation: operation.toLowerCase() as HeaderChange["operation"] };
}

function milliseconds(text: string): number {
  return Number(parseDuration(text) ?? Number.NaN) / 1e6;
}

/** The original's fakes: results in the order of the calls, and their own where none are left. */
class Fakes {
  readonly #templates: ReadonlyMap<string, FakeTemplate>;
  readonly #calls = new Map<string, number>();
  readonly called: string[] = [];

  constructor(templates: readonly FakeTemplate[]) {
    this.#templates = new Map(templates.map((one) => [one.Name, one]));
  }

  handler(): Partial<LocalHandler> {
    return {
      check: (instance) => {
        const { template } = instance;
        const { told, nth } = this.#call("Check", instance);
        const result = told.CheckResults?.[nth];
        const output: Readonly<Record<string, Value>> | undefined =
          (template as string) === "tcheckoutput" ? { value: "1337" } : undefined;
        return { ...checkResult(result), ...(output && { output }) };
      },
      allocate: (instance, { amount, bestEffort }) => {
        const { told, nth } = this.#call("Quota", instance, amount, bestEffort);
        return quotaResult(told.QuotaResults?.[nth]);
      },
      report: (instances) => {
        for (const instance of instances.slice(1)) this.called.push(callText("Report", instance));
        for (const instance of instances.slice(0, 1)) this.#call("Report", instance);
        return [];
      },
      generate: (instance) => {
        this.#call("GenAttrs", instance);
        return { output: {}, fault: "" };
      },
    };
  }

  #call(what: string, instance: AnyInstance, ...args: readonly unknown[]) {
    this.called.push(callText(what, instance, ...args));
    const { template } = instance;
    const told = this.#templates.get(template) ?? { Name: template };
    const flags = told as unknown as Readonly<Record<string, unknown>>;
    if (flags[`PanicOnDispatch${what}`] || flags[`ErrorOnDispatch${what}`])
      throw new Error(`${thrown} ${what}`);
    const nth = this.#calls.get(template) ?? 0;
    this.#calls.set(template, nth + 1);
    return { told, nth };
  }
}

function checkResult(told: FakeCheck | undefined): CheckResult {
  const direct = told?.details?.find((one) => one.direct_http_response)?.direct_http_response;
  return {
    code: (told?.status_code ?? 0) as StatusCode,
    message: told?.status_message ?? "",
    validDurationMs: told === undefined ? 123_000 : milliseconds(told.valid_duration),
    validUseCount: told?.valid_use_count ?? 123,
    isFault: false,
    ...(direct && {
      direct: { code: direct.code ?? 0, body: direct.body ?? "", headers: direct.headers ?? {} },
    }),
  };
}

function quotaResult(told: FakeQuota | undefined): QuotaResult {
  return {
    granted: told?.amount ?? 0,
    validDurationMs: told === undefined ? 0 : milliseconds(told.valid_duration),
    code: (told?.status_code ?? 0) as StatusCode,
    message: told?.status_message ?? "",
  };
}
