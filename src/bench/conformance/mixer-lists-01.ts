/**
 * Of the tables of Mixer 0.1 those about lists, which the list adapter answers to this day; those
 * about documents of 0.1 are judged by mixer-aspects-01.
 */
import { list } from "../../adapter/list.ts";
import { StatusCode } from "../../policy/status-code.ts";
import { openLocal, problemsOf } from "../../testing/adapter-environment.ts";
import { readVectors } from "./http-vector.ts";
import { type AspectCase, judgeDescriptor, judgeSubjects } from "./mixer-aspects-01.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

/** Seconds. */
interface Span {
  readonly s: number | { readonly $int64: string };
}

interface Case extends AspectCase {
  readonly kind: string;
  readonly injected_rule_error?: string;
  readonly list?: readonly string[];
  readonly checks?: readonly {
    readonly value: string;
    readonly found: boolean;
    readonly error: boolean;
  }[];
  readonly cfg?: {
    readonly ProviderUrl?: string;
    readonly RefreshInterval?: Span;
    readonly Ttl?: Span;
  };
  /** What is wrong; null or empty: nothing. */
  readonly field?: string | null;
  readonly entries?: readonly string[];
  readonly in_list?: readonly string[] | null;
  readonly not_in_list?: readonly string[] | null;
}

function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const [i, one] of readVectors<{ cases: readonly Case[] }>(path).cases.entries()) {
    const name = `${one.test}#${i}`;
    if (one.kind === "ipListChecker_check") verdicts.judge(name, judgeAddresses(one));
    else if (one.kind === "ipListChecker_config") verdicts.judge(name, judgeParameters(one));
    else if (one.kind === "genericListChecker") verdicts.judge(name, judgeEntries(one));
    else if (one.kind === "descriptor") verdicts.judge(name, judgeDescriptor(one));
    else if (one.injected_rule_error !== undefined)
      verdicts.skip(name, "a fault that the test puts into the original's code");
    else if (one.kind === "resolve") verdicts.judge(name, judgeSubjects(one));
    else verdicts.skip(name, "a step of the original's code; what comes of it is judged");
  }
  return Promise.resolve(verdicts.result());
}

type Answer = "found" | "not found" | "error";

/** Asks a list of what may pass. */
function answersOf(parameters: object, values: readonly string[]): readonly Answer[] {
  const handler = openLocal(list, parameters);
  const answers = values.map((value): Answer => {
    const typed = { type: "STRING", value } as const;
    const result = handler.check?.({ template: "listentry", name: "l", value: typed });
    if (result?.code === StatusCode.ok) return "found";
    return result?.code === StatusCode.permissionDenied ? "not found" : "error";
  });
  handler.close();
  return answers;
}

function judgeAddresses({ list: overrides = [], checks = [] }: Case): string | undefined {
  const values = checks.map(({ value }) => value);
  const wanted = checks.map(({ found, error }) =>
    error ? "error" : found ? "found" : "not found",
  );
  return differs(answersOf({ entryType: "IP_ADDRESSES", overrides }, values), wanted);
}

function judgeEntries({ entries = [], in_list: there, not_in_list: absent }: Case) {
  const values = [...(there ?? []), ...(absent ?? [])];
  const wanted = [...(there ?? []).map(() => "found"), ...(absent ?? []).map(() => "not found")];
  return differs(answersOf({ overrides: entries }, values), wanted);
}

function judgeParameters({ cfg = {}, field }: Case): string | undefined {
  const parameters = {
    ...(cfg.ProviderUrl !== undefined && { providerUrl: cfg.ProviderUrl }),
    ...(cfg.RefreshInterval && { refreshInterval: seconds(cfg.RefreshInterval) }),
    ...(cfg.Ttl && { ttl: seconds(cfg.Ttl) }),
  };
  const fields = problemsOf(list, parameters).map((problem) => problem.split(":")[0]!);
  return differs(fields.slice(0, 1), field ? [field] : []);
}

function seconds({ s }: Span): string {
  return `${typeof s === "number" ? s : s.$int64}s`;
}

function differs(got: readonly string[], wanted: readonly string[]): string | undefined {
  const [a, b] = [got.join(", "), wanted.join(", ")];
  return a === b ? undefined : `${a}, not ${b}`;
}

export const list01Suites: readonly Suite[] = [{ file: "mixer/v0_config_tables.json", run }];
