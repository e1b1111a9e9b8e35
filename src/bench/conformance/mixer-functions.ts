/** The functions of Mixer's expressions, called with arguments; and its list of global words. */
import { Fault } from "../../attribute/fault.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import { formatIpAddress, ipAddressesEqual, parseIpAddress } from "../../attribute/ip-address.ts";
import { compareTimestamps, formatTimestamp, parseTimestamp } from "../../attribute/timestamp.ts";
import { dnsNamesEqual, emailsEqual, urisEqual } from "../../expression/name.ts";
import { standardFunctions } from "../../expression/standard-function.ts";
import { readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface Case {
  readonly fn: string;
  readonly args: readonly string[];
  readonly observed: { readonly ok?: unknown; readonly error?: string };
}

type Two = (...args: [a: string, b: string]) => unknown;

const timeOf = (text: string) => parseTimestamp(text)!;
const comparisons: Readonly<Record<string, Two>> = {
  ip_equal: (a, b) => ipAddressesEqual(parseIpAddress(a)!, parseIpAddress(b)!),
  dnsName_equal: dnsNamesEqual,
  email_equal: emailsEqual,
  uri_equal: urisEqual,
  timestamp_equal: (a, b) => compareTimestamps(timeOf(a), timeOf(b)) === 0,
  timestamp_lt: (a, b) => compareTimestamps(timeOf(a), timeOf(b)) < 0,
  timestamp_le: (a, b) => compareTimestamps(timeOf(a), timeOf(b)) <= 0,
  timestamp_gt: (a, b) => compareTimestamps(timeOf(a), timeOf(b)) > 0,
  timestamp_ge: (a, b) => compareTimestamps(timeOf(a), timeOf(b)) >= 0,
};

function runFunctions(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const { fn, args, observed } of readVectors<{ cases: readonly Case[] }>(path).cases) {
    const name = `${fn}(${JSON.stringify(args)})`;
    const call = comparisons[fn] ?? (standardFunctions.get(fn)?.run as Two | undefined);
    if (call === undefined) {
      verdicts.skip(name, "no function of the language");
      continue;
    }
    const value = call(...(args as [string, string]));
    if (observed.error !== undefined) verdicts.judge(name, judgeError(value, observed.error));
    else {
      const text = value instanceof Fault ? `fails: ${value.message}` : shown(fn, value);
      verdicts.judge(
        name,
        text === String(observed.ok) ? undefined : `${text}, not ${observed.ok}`,
      );
    }
  }
  return Promise.resolve(verdicts.result());
}

function judgeError(value: unknown, error: string): string | undefined {
  if (!(value instanceof Fault)) return `yields ${value}, not ${error}`;
  return value.message === error ? undefined : `fails: ${value.message}, not ${error}`;
}

function shown(fn: string, value: unknown): string {
  if (value instanceof Uint8Array) return formatIpAddress(value);
  return fn === "timestamp" ? formatTimestamp(value as never) : String(value);
}

function runWords(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const { cases } = readVectors<{ cases: readonly { index: number; word: string }[] }>(path);
  for (const { index, word } of cases)
    verdicts.judge(
      `${index}`,
      globalWords[index] === word ? undefined : `is ${globalWords[index]}`,
    );
  return Promise.resolve(verdicts.result());
}

export const functionSuites: readonly Suite[] = [
  { file: "mixer/extern_functions.json", run: runFunctions },
  { file: "mixer/extern_functions_oracle.json", run: runFunctions },
  { file: "mixer/global_dictionary.json", run: runWords },
];
