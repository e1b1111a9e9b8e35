/**
 * One Report of istio.mixer.v1: many exchanges, handed on by scope. Spec table: mixer 1.4.
 *
 * What is wrong with an entry is told at the end, and hinders no other.
 */
import { CallFault, CallStatus } from "../api/call-fault.ts";
import {
  type ReportRequest,
  ReportRequest_RepeatedAttributesSemantics as Semantics,
} from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import { type AttributeValues, decodeAttributes } from "../attribute/attribute-message.ts";
import { MutableBag } from "../attribute/bag.ts";
import { globalWords } from "../attribute/global-dictionary.ts";
import type { StringMap } from "../attribute/value.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { PolicyScope } from "../policy/verdict.ts";
import { type CheckOptions, requireWords } from "./check-call.ts";

/** Of one message, whose octets are bounded as well. */
export const entriesMax = 10_000;
/**
 * In UTF-16 units, of all entries: each may stand for a word of the list that they share, which
 * somebody writes down each time that it does.
 */
const TEXT_MAX = 16 * 1024 * 1024;
/** Entries after these are not described. */
const FAULTS_MAX = 10;

export async function answerReport(request: ReportRequest, options: CheckOptions): Promise<void> {
  requireWords(request.globalWordCount);
  if (request.attributes.length > entriesMax)
    throw new CallFault(CallStatus.invalidArgument, `a report has at most ${entriesMax} entries`);
  const faults: string[] = [];
  const { engine, nowMs, onlyRemote } = options;
  const { vocabulary } = engine;
  engine.acquire();
  try {
    const byScope = new Map<PolicyScope, MutableBag[]>();
    for (const bag of bagsOf(request, vocabulary, options.onUndecodable, faults)) {
      const scope = engine.scopeFor(bag);
      const bags = byScope.get(scope);
      if (bags === undefined) byScope.set(scope, [bag]);
      else bags.push(bag);
    }
    const asked = Array.from(byScope, ([scope, bags]) =>
      scope.reportAll(bags, { nowMs, onlyRemote }),
    );
    for (const told of await Promise.all(asked)) faults.push(...told);
  } finally {
    engine.release();
  }
  if (faults.length > 0) throw new CallFault(CallStatus.unknown, described(faults));
}

/** A delta begins with a copy of the entry before it: what it costs is what it says. */
function* bagsOf(
  { attributes, defaultWords, repeatedAttributesSemantics }: ReportRequest,
  vocabulary: Vocabulary,
  onUndecodable: (reason: string) => void,
  faults: string[],
): Iterable<MutableBag> {
  const isDelta = repeatedAttributesSemantics === Semantics.DELTA_ENCODING;
  let base: MutableBag | undefined;
  let text = 0;
  for (const [i, message] of attributes.entries()) {
    const words = message.words.length === 0 ? defaultWords : message.words;
    const isChange = isDelta && base !== undefined;
    // What a delta builds upon must be whole.
    const decoded = decodeAttributes(message, { words, global: globalWords }, isChange);
    if (!decoded.ok) {
      onUndecodable(decoded.reason);
      faults.push(`entry ${i}: ${decoded.message}`);
      continue;
    }
    for (const { reason } of decoded.left) onUndecodable(reason);
    text += textOf(decoded.values);
    if (text > TEXT_MAX) {
      onUndecodable("too-much-text");
      faults.push(`entry ${i} and those after it: too-much-text`);
      return;
    }
    const bag: MutableBag = isChange ? base!.copy() : new MutableBag(vocabulary);
    for (const [name, value] of decoded.values) bag.set(name, value);
    base = bag;
    yield bag;
  }
}

function textOf(values: AttributeValues): number {
  let length = 0;
  for (const { type, value } of values.values()) {
    if (type === "STRING") length += (value as string).length;
    else if (type === "STRING_MAP")
      for (const [key, one] of (value as StringMap).entries()) length += key.length + one.length;
  }
  return length;
}

function described(faults: readonly string[]): string {
  const more = faults.length - FAULTS_MAX;
  const text = faults.slice(0, FAULTS_MAX).join(", ");
  return more > 0 ? `${text}, and ${more} more` : text;
}
