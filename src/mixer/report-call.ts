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
import {
  type AttributeValues,
  applyDelta,
  type Decoded,
  decodeAttributes,
} from "../attribute/attribute-message.ts";
import { MutableBag } from "../attribute/bag.ts";
import { globalWords } from "../attribute/global-dictionary.ts";
import type { PolicyScope } from "../policy/verdict.ts";
import { type CheckOptions, requireWords } from "./check-call.ts";

/** Of one message, whose octets are bounded as well. */
export const entriesMax = 10_000;
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
    for (const values of entriesOf(request, options.onUndecodable, faults)) {
      const bag = new MutableBag(vocabulary);
      for (const [name, value] of values) bag.set(name, value);
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

function* entriesOf(
  { attributes, defaultWords, repeatedAttributesSemantics }: ReportRequest,
  onUndecodable: (reason: string) => void,
  faults: string[],
): Iterable<AttributeValues> {
  const isDelta = repeatedAttributesSemantics === Semantics.DELTA_ENCODING;
  let base: AttributeValues | undefined;
  for (const [i, message] of attributes.entries()) {
    const words = message.words.length === 0 ? defaultWords : message.words;
    const lists = { words, global: globalWords };
    const decoded: Decoded =
      isDelta && base !== undefined
        ? applyDelta(base, message, lists)
        : decodeAttributes(message, lists);
    if (!decoded.ok) {
      onUndecodable(decoded.reason);
      faults.push(`entry ${i}: ${decoded.message}`);
      continue;
    }
    for (const { reason } of decoded.left) onUndecodable(reason);
    base = decoded.values;
    yield decoded.values;
  }
}

function described(faults: readonly string[]): string {
  const more = faults.length - FAULTS_MAX;
  const text = faults.slice(0, FAULTS_MAX).join(", ");
  return more > 0 ? `${text}, and ${more} more` : text;
}
