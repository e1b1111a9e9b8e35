/**
 * The service tests of W3C Trace Context. Each request is answered by what a proxy that starts a
 * span would send on; the assertions of the original, which are Python, are read line by line. A
 * line that says something else than the forms below is named, and its test is not judged.
 */
import { seededRandom } from "../../core/random.ts";
import {
  formatTraceParent,
  formatTraceState,
  parseTraceParent,
  parseTraceState,
  type TraceContext,
  type TraceStateMember,
} from "../../telemetry/trace-context.ts";
import { readVectors } from "./http-vector.ts";
import { pythonPairs, pythonText } from "./python-text.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

type Headers = readonly (readonly [name: string, value: string])[];

interface Case {
  readonly name: string;
  /** Fields as data, or as the expression that they were in Python. */
  readonly requests: readonly { readonly headers: Headers | string }[];
  readonly code: string;
}

/** What arrives upstream, read as the upstream would. */
interface Arrival {
  readonly context: TraceContext;
  readonly state: readonly TraceStateMember[];
}

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: readonly Case[] }>(path).cases) {
    const found = judgeCase(one);
    if (found !== undefined && "unread" in found) verdicts.skip(one.name, found.unread);
    else verdicts.judge(one.name, found?.why);
  }
  return verdicts.result();
}

type Finding = { readonly why: string } | { readonly unread: string } | undefined;

function judgeCase({ requests, code }: Case): Finding {
  const random = seededRandom(1);
  const sent: Headers[] = [];
  for (const { headers } of requests) {
    const fields = typeof headers === "string" ? pythonPairs(headers) : headers;
    if (fields === undefined) return { unread: `fields of another form: ${headers}` };
    sent.push(fields);
  }
  if (/\bself\.make_request\(/.test(code)) return judgeRepeated(sent[0] ?? [], code, random);
  const [, ...parts] = code.split(/make_single_request_and_get_tracecontext\(/);
  if (parts.length !== sent.length) return { unread: "requests and code do not fit" };
  const arrivals: Arrival[] = [];
  for (const [i, part] of parts.entries()) {
    const arrival = arrivalOf(sent[i]!, random);
    if (arrival === undefined) return { why: `request ${i}: no valid traceparent arrives` };
    arrivals.push(arrival);
    for (const line of assertionsIn(part)) {
      const holds = judgeLine(line, arrivals);
      if (holds === undefined) return { unread: `an assertion of another form: ${line}` };
      if (!holds) return { why: `request ${i}: ${line}: ${JSON.stringify(arrival)}` };
    }
  }
  return undefined;
}

function assertionsIn(code: string): readonly string[] {
  return code.split("\n").flatMap((text) => /^\s*(self\.assert.*)$/.exec(text)?.[1] ?? []);
}

/** Several requests with the same fields, and how many identifiers they are to have. */
function judgeRepeated(sent: Headers, code: string, random: () => number): Finding {
  const times = Number(/make_request\([\s\S]*?,\s*(\d+)\)/.exec(code)?.[1] ?? 1);
  const contexts: TraceContext[] = [];
  for (let i = 0; i < times; i++) {
    const arrival = arrivalOf(sent, random);
    if (arrival === undefined) return { why: "no valid traceparent arrives" };
    contexts.push(arrival.context);
  }
  const ids: Readonly<Record<string, ReadonlySet<string>>> = {
    trace: new Set(contexts.map(({ traceId }) => traceId)),
    parent: new Set(contexts.map(({ parentId }) => parentId)),
  };
  for (const line of assertionsIn(code)) {
    const count = /^self\.assertEqual\(len\((trace|parent)_ids\), (\d+)\)$/.exec(line);
    const member = /^self\.assert(True|False)\('(\w+)' in (trace|parent)_ids\)$/.exec(line);
    if (count === null && member === null)
      return { unread: `an assertion of another form: ${line}` };
    const holds =
      count === null
        ? ids[member![3]!]!.has(member![2]!) === (member![1] === "True")
        : ids[count[1]!]!.size === Number(count[2]);
    if (!holds) return { why: `${line}: ${JSON.stringify(contexts)}` };
  }
  return undefined;
}

/** What goes on: the context with a span of our own, or a new trace without a state. */
function arrivalOf(sent: Headers, random: () => number): Arrival | undefined {
  const valuesOf = (wanted: string): string[] =>
    sent.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
  const received = parseTraceParent(valuesOf("traceparent"));
  const begun = { traceId: hex(32, random), parentId: "", sampled: true, flags: 3 };
  const parent = formatTraceParent(received ?? begun, hex(16, random));
  const state = received && parseTraceState(valuesOf("tracestate"));
  const context = parseTraceParent([parent]);
  const stateOn = parseTraceState([formatTraceState(state ?? [])]);
  return context === undefined || stateOn === undefined ? undefined : { context, state: stateOn };
}

function hex(digits: number, random: () => number): string {
  return Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join("");
}

/** E: an expression that is a text. N: a number. */
type Form = readonly [form: string, holds: (words: readonly string[], to: Arrival) => boolean];

const forms: readonly Form[] = [
  ["assertEqual(traceparent.trace_id.hex(), E)", ([id], { context }) => context.traceId === id],
  ["assertNotEqual(traceparent.trace_id.hex(), E)", ([id], { context }) => context.traceId !== id],
  [
    "assertNotEqual(traceparent.parent_id.hex(), E)",
    ([id], { context }) => context.parentId !== id,
  ],
  [
    "assert_bit_set(traceparent.trace_flags, N, E)",
    ([bit], { context }) => (context.flags & Number(bit)) !== 0,
  ],
  ["assertIn(E, tracestate)", ([key], { state }) => has(state, key)],
  ["assertNotIn(E, tracestate)", ([key], { state }) => !has(state, key)],
  [
    "assertEqual(tracestate[E], E)",
    ([key, value], { state }) => state.find((member) => member.key === key)?.value === value,
  ],
  ["assertRaises(KeyError, lambda: tracestate[E])", ([key], { state }) => !has(state, key)],
  ["assertEqual(len(tracestate), N)", ([count], { state }) => state.length === Number(count)],
  ["assertTrue(not tracestate or tracestate != E)", () => true],
  [
    "assertTrue(E in str(tracestate))",
    ([part = ""], { state }) => formatTraceState(state).includes(part),
  ],
  [
    "assertTrue(str(tracestate).index(E) < str(tracestate).index(E))",
    ([first = "", second = ""], { state }) => {
      const text = formatTraceState(state);
      return text.includes(first) && text.indexOf(first) < text.indexOf(second);
    },
  ],
];

const patterns = forms.map(([form, holds]) => {
  const quoted = `self.${form}`.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const source = quoted.replace(/\bE\b/g, "(.+?)").replace(/\bN\b/g, "(\\d+)");
  return { pattern: new RegExp(`^${source}$`), holds };
});

/** Undefined: none of the forms. */
function judgeLine(line: string, arrivals: readonly Arrival[]): boolean | undefined {
  if (line === "self.assertEqual(len(tracestate1), len(tracestate2))")
    return arrivals[0]?.state.length === arrivals[1]?.state.length;
  for (const { pattern, holds } of patterns) {
    const match = pattern.exec(line);
    if (match === null) continue;
    const words = match.slice(1).map((text) => (/^\d+$/.test(text) ? text : pythonText(text)));
    if (words.includes(undefined)) return undefined;
    return holds(words as readonly string[], arrivals.at(-1)!);
  }
  return undefined;
}

function has(state: readonly TraceStateMember[], key: string | undefined): boolean {
  return state.some((member) => member.key === key);
}

export const traceSuites: readonly Suite[] = [{ file: "http/trace-context.json", run }];
