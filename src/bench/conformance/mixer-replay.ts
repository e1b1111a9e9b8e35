/**
 * The recorded messages of an original client, its own octets in gRPC frames of a stranger's
 * library, to a mixer that listens. What it answers is what was recorded; what it saw is asked by
 * rules that speak of every attribute, which is also what an answer then depends on.
 *
 * A server has one global list. Where a recording brings its own, a word stands for the one at its
 * place in the real list: the octets are the same.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import {
  type CompressedAttributes,
  CompressedAttributesSchema,
} from "../../api/gen/istio/mixer/v1/attributes_pb.ts";
import {
  CheckRequestSchema,
  CheckResponse_PreconditionResultSchema,
  type CheckResponse_QuotaResult,
  CheckResponse_QuotaResultSchema,
  CheckResponseSchema,
  ReferencedAttributes_Condition as Condition,
  type ReferencedAttributes,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import { wordAt } from "../../attribute/word-list.ts";
import { parseExpression } from "../../expression/parser.ts";
import { StatusCode } from "../../policy/status-code.ts";
import { type ServedMixer, serveMixer } from "../../testing/mixer-set-up.ts";
import { readVectors } from "./http-vector.ts";
import type { Typed } from "./mixer-expressions.ts";
import type { WireCase } from "./mixer-wire.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

/** Without rules: OK for a minute and 10,000 uses, whatever the attributes are. */
const DEFAULT_PRECONDITION = "0a001202083c18904e2a00";
const MINUTE = "083c";
/** No value of any recording. */
const NEVER = "no such value";

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const served = await serveMixer("");
  const caller = new Caller(served.port);
  try {
    for (const one of readVectors<{ cases: readonly WireCase[] }>(path).cases) {
      const name = `${one.kind} ${one.test}`;
      const skipped = reasonToSkip(one);
      if (skipped === undefined)
        verdicts.judge(name, await replays[one.kind]!(one, { served, caller, verdicts, name }));
      else verdicts.skip(name, skipped);
    }
  } finally {
    caller.close();
    await served.close();
  }
  return verdicts.result();
}

interface Surroundings {
  readonly served: ServedMixer;
  readonly caller: Caller;
  readonly verdicts: Verdicts;
  readonly name: string;
}

type Replay = (one: WireCase, surroundings: Surroundings) => Promise<string | undefined>;

const replays: Readonly<Record<string, Replay>> = {
  decode: (one, of) => (one.error === undefined ? replayValues(one, of) : replayFault(one, of)),
  encode: replayValues,
  lookup: replayReads,
  references: replayReads,
  check_request: replayCheck,
  check_response: async (_, { served, caller }) => {
    served.configure("");
    const answer = fromBinary(CheckResponseSchema, await caller.call("Check", new Uint8Array()));
    return preconditionFault(answer.precondition);
  },
  report_request_message: replayReport,
  report_request: replayReport,
};

function reasonToSkip({ kind, wire_hex: hex, global_words: global }: WireCase): string | undefined {
  if (kind === "attributes_uncompressed") return "the value of a header, which no call carries";
  if (hex === undefined || replays[kind] === undefined) return `no call is made of ${kind}`;
  if (!Array.isArray(global)) return undefined;
  const message = fromBinary(CompressedAttributesSchema, Uint8Array.fromHex(hex));
  const beyond = indexesOf(message).some((index) => index >= global.length);
  return beyond ? "a word that its short list lacks is in the real one, so it decodes" : undefined;
}

/** Its whole answer is known: there are no rules. */
async function replayCheck(one: WireCase, { served, caller }: Surroundings) {
  served.configure("");
  const bytes = Uint8Array.fromHex(one.wire_hex!);
  const asked = fromBinary(CheckRequestSchema, bytes);
  const answer = fromBinary(CheckResponseSchema, await caller.call("Check", bytes));
  const fault = preconditionFault(answer.precondition);
  if (fault !== undefined) return fault;
  const names = Object.keys(asked.quotas).sort().join();
  if (Object.keys(answer.quotas).sort().join() !== names) return `no quotas ${names}`;
  for (const [quota, { amount }] of Object.entries(asked.quotas)) {
    const wrong = quotaFault(answer.quotas[quota]!, amount);
    if (wrong !== undefined) return `${quota}: ${wrong}`;
  }
  return undefined;
}

function preconditionFault(precondition: Parameters<typeof octetsOf>[0] | undefined) {
  if (precondition === undefined) return "no precondition";
  const hex = octetsOf(precondition);
  return hex === DEFAULT_PRECONDITION ? undefined : `precondition ${hex}`;
}

function octetsOf(
  precondition: NonNullable<
    ReturnType<typeof fromBinary<typeof CheckResponseSchema>>["precondition"]
  >,
): string {
  return toBinary(CheckResponse_PreconditionResultSchema, precondition).toHex();
}

/** As it was asked for, for a minute, whatever the attributes are. */
function quotaFault(result: CheckResponse_QuotaResult, amount: bigint): string | undefined {
  const { grantedAmount } = result;
  if (grantedAmount !== amount) return `${grantedAmount} granted, not ${amount}`;
  const rest = toBinary(CheckResponse_QuotaResultSchema, { ...result, grantedAmount: 0n }).toHex();
  const wanted = `0a02${MINUTE}2a003200`;
  return rest === wanted ? undefined : `${rest}, not ${wanted}`;
}

/** Every value as recorded, or the rule does not hold. */
async function replayValues(one: WireCase, surroundings: Surroundings) {
  const reads: Read[] = [];
  for (const [name, typed] of Object.entries(one.attributes ?? {})) {
    const read = readOf(renamed(one, name), valueIn(one, typed));
    if (read !== undefined) reads.push(read);
    else
      surroundings.verdicts.skip(
        `${surroundings.name} ${name}`,
        "no expression can name this attribute: its value is judged beside",
      );
  }
  return await ask(one, reads, surroundings);
}

/** What was read there is read here, and told as it was there. */
async function replayReads(one: WireCase, surroundings: Surroundings) {
  const accesses = one.access ?? (one.lookups ?? []).map(({ name }) => ({ get: name }));
  const reads = accesses.flatMap(({ get, key }: { get: string; key?: string }): readonly Read[] => {
    const name = renamed(one, get);
    const lookup = one.lookups?.find((each) => each.name === get);
    const known = lookup?.value ? readOf(name, valueIn(one, lookup.value)) : undefined;
    if (known !== undefined) return [known];
    const isMap = accesses.some((each) => each.get === get && "key" in each);
    // A map itself is no value that an expression can end in.
    if (isMap && key === undefined) return [];
    const of = isMap ? `${name}[${JSON.stringify(renamed(one, key!))}]` : name;
    const absent = `(${of} | ${JSON.stringify(NEVER)}) == ${JSON.stringify(NEVER)}`;
    const match = lookup?.found === false ? absent : `(${absent} || true)`;
    return [{ name, type: isMap ? "STRING_MAP" : "STRING", match, references: [] }];
  });
  const wanted = (one.referenced ?? []).map((entry) => {
    const { name, condition, map_key: key } = entry as Readonly<Record<string, string>>;
    const at = key === undefined ? "" : `[${renamed(one, key)}]`;
    return `${condition === "EXACT" ? "+" : "-"}${renamed(one, name!)}${at}`;
  });
  return await ask(one, reads, surroundings, wanted);
}

async function ask(
  one: WireCase,
  reads: readonly Read[],
  { served, caller }: Surroundings,
  wanted = reads.flatMap(({ references }) => references),
): Promise<string | undefined> {
  served.configure(`${manifests(reads)}${denying(reads.map(({ match }) => match).join(" && "))}`);
  const [problem] = served.mixer.policyView().problems;
  if (problem !== undefined) return problem;
  const answer = await caller.call("Check", requestOf(Uint8Array.fromHex(one.wire_hex!)));
  const { precondition } = fromBinary(CheckResponseSchema, answer);
  if (precondition?.status?.code !== StatusCode.permissionDenied)
    return `other values: ${precondition?.status?.code} ${precondition?.status?.message}`;
  const { validDuration, validUseCount } = precondition;
  if (validDuration?.seconds !== 20n || validUseCount !== 50) return "another life than the rule's";
  const found = referenced(precondition.referencedAttributes);
  return found.join() === wanted.toSorted().join()
    ? undefined
    : `depends on ${found.join()}, not on ${wanted.toSorted().join()}`;
}

/** A Check reads it as absent; a delta is refused, in the words of the recording. */
async function replayFault(one: WireCase, { served, caller }: Surroundings) {
  served.configure("");
  const bytes = Uint8Array.fromHex(one.wire_hex!);
  const answer = fromBinary(CheckResponseSchema, await caller.call("Check", requestOf(bytes)));
  const fault = preconditionFault(answer.precondition);
  if (fault !== undefined) return fault;
  const report = Buffer.concat([Uint8Array.of(0x0a, 0), requestOf(bytes, 0x18)]);
  const refused: unknown = await caller.call("Report", report).catch((thrown) => thrown);
  const { code, details } = refused as { readonly code?: number; readonly details?: string };
  const words = one.error!.replace(/ (\w+) \(/, (_, name: string) => ` ${renamed(one, name)} (`);
  return code === StatusCode.unknown && details === `entry 1: ${words}`
    ? undefined
    : `${code} ${details}, not ${words}`;
}

/** Each entry is counted by a rule that holds for its values alone. */
async function replayReport(one: WireCase, { served, caller }: Surroundings) {
  const bags = (one.bags ?? []).map((bag) =>
    Object.entries(bag).flatMap(([name, typed]) => readOf(name, typed) ?? []),
  );
  served.configure(`${manifests(bags.flat())}${bags.map(counting).join("")}`);
  const answer = await caller.call("Report", Uint8Array.fromHex(one.wire_hex!));
  if (answer.length > 0) return `answers ${answer.toHex()}`;
  const text = served.mixer.exposition.text();
  for (const [i, bag] of bags.entries()) {
    const matches = bag.map(({ match }) => match);
    const alike = bags.filter((other) =>
      matches.every((match) => other.some((read) => read.match === match)),
    ).length;
    if (!text.includes(`istio_seen${i} ${alike}\n`))
      return `entry ${i} was not seen ${alike} times`;
  }
  return undefined;
}

interface Read {
  readonly name: string;
  readonly type: string;
  /** Holds where the attribute is as recorded. */
  readonly match: string;
  /** "+source.user", "-request.headers[cookie]" */
  readonly references: readonly string[];
}

/** Undefined: the language has no such name. */
function readOf(name: string, { type, value }: Typed): Read | undefined {
  if (!isName(name)) return undefined;
  const simple = (match: string, as = type): Read => ({
    ...{ name, type: as, match, references: [`+${name}`] },
  });
  switch (type) {
    case "INT64":
    case "BOOL":
      return simple(`${name} == ${value}`);
    case "DOUBLE":
      return simple(`${name} == ${Number.isInteger(value) ? `${value}.0` : value}`);
    case "TIMESTAMP":
      return simple(`${name} == timestamp(${JSON.stringify(value)})`);
    // No literal of the language has its octets: that it is there is all that a rule can say.
    case "BYTES":
    case "IP_ADDRESS":
      return simple(`(${name} | ip("192.0.2.1")) != ip("192.0.2.1")`, "IP_ADDRESS");
    case "STRING_MAP": {
      const entries = Object.entries((value ?? {}) as Readonly<Record<string, string>>);
      const text = JSON.stringify;
      return {
        ...{ name, type, references: entries.map(([key]) => `+${name}[${key}]`) },
        match: entries.map(([key, one]) => `${name}[${text(key)}] == ${text(one)}`).join(" && "),
      };
    }
    default:
      return simple(`${name} == ${JSON.stringify(value)}`);
  }
}

function isName(text: string): boolean {
  try {
    return parseExpression(text).kind === "attribute";
  } catch {
    return false;
  }
}

/** In place of the standard ones, which give some of these names another type. */
function manifests(reads: readonly Read[]): string {
  const types = Object.fromEntries(reads.map(({ name, type }) => [name, { valueType: type }]));
  return ["istioproxy", "kubernetes"]
    .map(
      (name, i) => `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: { name: ${name}, namespace: istio-system }
spec: { attributes: ${JSON.stringify(i === 0 ? types : {})} }
---`,
    )
    .join("");
}

function denying(match: string): string {
  return `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: recorded, namespace: istio-system }
spec:
  match: ${JSON.stringify(match)}
  actions:
  - handler:
      compiledAdapter: denier
      params: { status: { code: 7 }, validDuration: 20s, validUseCount: 50 }
    instances: [{ compiledTemplate: checknothing }]
`;
}

function counting(bag: readonly Read[], i: number): string {
  return `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: seen${i}, namespace: istio-system }
spec:
  match: ${JSON.stringify(bag.map(({ match }) => match).join(" && "))}
  actions:
  - handler:
      compiledAdapter: prometheus
      params:
        metrics:
        - { name: seen${i}, instance_name: "seen${i}[0][0].instance.istio-system", kind: COUNTER }
    instances: [{ compiledTemplate: metric, params: { value: "1", dimensions: {} } }]
---`;
}

/** The attributes as they were recorded, in the message's first field. */
function requestOf(attributes: Uint8Array, countTag = 0x10): Uint8Array {
  const prefix = [0x0a, ...varint(attributes.length)];
  return Buffer.concat([
    Uint8Array.from(prefix),
    attributes,
    Uint8Array.of(countTag, ...varint(globalWords.length)),
  ]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** A word of the recording's own list is the one at its place in the real one. */
function renamed({ global_words: global, wire_hex: hex }: WireCase, word: string): string {
  if (!Array.isArray(global)) return word;
  const { words } = fromBinary(CompressedAttributesSchema, Uint8Array.fromHex(hex!));
  const index = global.indexOf(word);
  return index === -1 || words.includes(word) ? word : globalWords[index]!;
}

/** The same for words that values are made of. */
function valueIn(one: WireCase, typed: Typed): Typed {
  const { type, value } = typed;
  if (type === "STRING") return { ...typed, value: renamed(one, value as string) };
  if (type !== "STRING_MAP") return typed;
  const entries = Object.entries((value ?? {}) as Readonly<Record<string, string>>);
  const moved = entries.map(([key, text]) => [renamed(one, key), renamed(one, text)] as const);
  return { ...typed, value: Object.fromEntries(moved) };
}

function indexesOf(message: CompressedAttributes): number[] {
  const { strings, stringMaps, int64s, doubles, bools, timestamps, durations, bytes } = message;
  const names = [strings, stringMaps, int64s, doubles, bools, timestamps, durations, bytes];
  const maps = Object.values(stringMaps).map(({ entries }) => entries);
  return [
    ...[...names, ...maps].flatMap((of) => Object.keys(of).map(Number)),
    ...[strings, ...maps].flatMap((of) => Object.values(of)),
  ];
}

function referenced(message: ReferencedAttributes | undefined): string[] {
  const lists = { words: message?.words ?? [], global: globalWords };
  return (message?.attributeMatches ?? [])
    .map(({ name, condition, mapKey }) => {
      const key = mapKey === 0 ? "" : `[${wordAt(lists, mapKey)}]`;
      return `${condition === Condition.EXACT ? "+" : "-"}${wordAt(lists, name)}${key}`;
    })
    .sort();
}

/** Octets in, octets out. */
class Caller {
  readonly #client: grpc.Client;

  constructor(port: number) {
    this.#client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  }

  call(method: "Check" | "Report", request: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/istio.mixer.v1.Mixer/${method}`,
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes) => bytes,
        request,
        (error, answer) => (error === null ? resolve(answer!) : reject(error)),
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}

export const replaySuites: readonly Suite[] = [
  { file: "mixer/attribute_wire.json", title: "over gRPC", run },
];
