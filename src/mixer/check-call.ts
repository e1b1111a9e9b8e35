/**
 * One Check of istio.mixer.v1: what was asked, what of it the answer depends on, and the answer.
 * Spec table: mixer 1.3.
 *
 *   CheckRequest ─▶ attributes ─▶ scope ─▶ verdict ─OK─▶ quotas, one by one ─▶ CheckResponse
 */
import { create } from "@bufbuild/protobuf";
import { CallFault, CallStatus } from "../api/call-fault.ts";
import type { CompressedAttributes } from "../api/gen/istio/mixer/v1/attributes_pb.ts";
import {
  type CheckRequest,
  type CheckResponse,
  CheckResponse_PreconditionResultSchema,
  CheckResponse_QuotaResultSchema,
  CheckResponseSchema,
  HeaderOperation_Operation as Operation,
  type CheckResponse_PreconditionResult as Precondition,
  type CheckResponse_QuotaResult as QuotaResult,
  RouteDirectiveSchema,
} from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import { decodeAttributes } from "../attribute/attribute-message.ts";
import { MutableBag } from "../attribute/bag.ts";
import { globalWords } from "../attribute/global-dictionary.ts";
import { encodeReferences, TrackedBag } from "../attribute/reference.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import { messageOfDuration } from "../attribute/well-known-time.ts";
import { StatusCode } from "../policy/status-code.ts";
import type { HeaderChange, PolicyEngine, PolicyScope, Verdict } from "../policy/verdict.ts";

export interface CheckOptions {
  readonly engine: PolicyEngine & { readonly vocabulary: Vocabulary };
  /** Since 1970. */
  readonly nowMs: number;
  /** The caller is a proxy of ours: what it can answer itself it has answered. */
  readonly onlyRemote: boolean;
  /** Told of each attribute that could not be decoded, by reason. */
  readonly onUndecodable: (reason: string) => void;
  /** Before it becomes a message, which has no place for all of it. */
  readonly onVerdict?: (verdict: Verdict) => void;
  /** Of each quota that was refused: when there may be enough again, if that is known. */
  readonly onRefused?: (retryAfterMs: number) => void;
}

/** Of one request. */
export const quotasMax = 100;

export async function answerCheck(
  request: CheckRequest,
  options: CheckOptions,
): Promise<CheckResponse> {
  requireWords(request.globalWordCount);
  const quotas = Object.entries(request.quotas);
  if (quotas.length > quotasMax)
    throw new CallFault(CallStatus.invalidArgument, `at most ${quotasMax} quotas can be asked for`);
  const { engine } = options;
  const { vocabulary } = engine;
  const bag = bagOf(request.attributes, vocabulary, options.onUndecodable);
  const tracked = new TrackedBag(vocabulary, bag);
  engine.acquire();
  try {
    const scope = engine.scopeFor(tracked);
    // What a quota depends on is told for itself: not what the precondition looked at.
    const forQuotas = quotas.length === 0 ? undefined : tracked.fork();
    const { nowMs, onlyRemote } = options;
    const dedupId = request.deduplicationId;
    const verdict = await scope.checkAll(tracked, { nowMs, onlyRemote, dedupId });
    options.onVerdict?.(verdict);
    const answer = create(CheckResponseSchema, {
      precondition: preconditionOf(verdict, tracked, request.globalWordCount),
    });
    if (verdict.code !== StatusCode.ok || forQuotas === undefined) return answer;
    for (const [quota, { amount, bestEffort }] of quotas)
      answer.quotas[quota] = await allocate(scope, forQuotas.fork(), {
        ...{ quota, amount: Number(amount), bestEffort, request },
        options,
      });
    return answer;
  } finally {
    engine.release();
  }
}

/** INTERNAL tells the caller to make do with fewer words from now on. */
export function requireWords(count: number): void {
  if (count <= globalWords.length) return;
  throw new CallFault(
    CallStatus.internal,
    "inconsistent global dictionary versions used: " +
      `mixer knows ${globalWords.length} words, caller knows ${count}`,
  );
}

function bagOf(
  attributes: CompressedAttributes | undefined,
  vocabulary: Vocabulary,
  onUndecodable: (reason: string) => void,
): MutableBag {
  const bag = new MutableBag(vocabulary);
  if (attributes === undefined) return bag;
  const decoded = decodeAttributes(attributes, { words: attributes.words, global: globalWords });
  if (!decoded.ok) throw new CallFault(CallStatus.invalidArgument, decoded.message);
  for (const { reason } of decoded.left) onUndecodable(reason);
  for (const [name, value] of decoded.values) bag.set(name, value);
  return bag;
}

const operations = {
  replace: Operation.REPLACE,
  remove: Operation.REMOVE,
  append: Operation.APPEND,
} as const;

function preconditionOf(verdict: Verdict, tracked: TrackedBag, words: number): Precondition {
  const { code, message, direct, requestHeaders, responseHeaders } = verdict;
  const changed = requestHeaders.length + responseHeaders.length > 0;
  return create(CheckResponse_PreconditionResultSchema, {
    status: { code, message },
    validDuration: durationOf(verdict.validDurationMs),
    // What cannot be named cannot be compared: the answer is good for this once.
    validUseCount: tracked.nameable ? int32(verdict.validUseCount) : 0,
    referencedAttributes: encodeReferences(tracked.references(), words),
    ...((direct !== undefined || changed) && {
      routeDirective: create(RouteDirectiveSchema, {
        directResponseCode: direct?.code ?? 0,
        directResponseBody: direct?.body ?? "",
        requestHeaderOperations: requestHeaders.map(operationOf),
        responseHeaderOperations: responseHeaders.map(operationOf),
      }),
    }),
  });
}

function operationOf({ name, value, operation }: HeaderChange) {
  return { name, value, operation: operations[operation] };
}

interface Allocation {
  readonly quota: string;
  readonly amount: number;
  readonly bestEffort: boolean;
  readonly request: CheckRequest;
  readonly options: CheckOptions;
}

async function allocate(
  scope: PolicyScope,
  bag: TrackedBag,
  { quota, amount, bestEffort, request, options }: Allocation,
): Promise<QuotaResult> {
  const { nowMs, onlyRemote } = options;
  const dedupId = request.deduplicationId;
  const question = { quota, amount, bestEffort, dedupId };
  const answer = await scope.allocateAll(bag, question, { nowMs, onlyRemote });
  if (answer.granted <= 0) options.onRefused?.(answer.retryAfterMs);
  return create(CheckResponse_QuotaResultSchema, {
    validDuration: durationOf(answer.validDurationMs),
    grantedAmount: BigInt(Math.trunc(answer.granted)),
    referencedAttributes: encodeReferences(bag.references(), request.globalWordCount),
    status: statusOf(answer.code, answer.message, answer.granted),
  });
}

/**
 * A caller takes UNAVAILABLE for leave to go on. By then the rule's own fail policy has decided, so
 * what is refused is refused.
 */
function statusOf(code: StatusCode, message: string, granted: number) {
  const isUnavailable = code === StatusCode.unavailable && granted <= 0;
  return { code: isUnavailable ? StatusCode.resourceExhausted : code, message };
}

function durationOf(ms: number) {
  return messageOfDuration(BigInt(Math.round(Math.max(0, Math.min(ms, 1e12)) * 1e6)));
}

function int32(count: number): number {
  return Math.max(-1, Math.min(Math.trunc(count), 0x7fff_ffff));
}
