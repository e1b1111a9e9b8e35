/** What a caller is told when policy refuses, as the sidecar maps codes (mixer 1.3, 2.3). */

import { textOfBytes } from "../../attribute/byte-text.ts";
import { type Failure, Failures } from "../../core/failure.ts";
import { StatusCode } from "../../policy/status-code.ts";
import type { DirectReply, HeaderChange } from "../../policy/verdict.ts";
import { HeaderEdits } from "./header-edit.ts";

/** In place of the upstream's answer. */
export interface Denial {
  readonly failure: Failure;
  readonly status: number;
  /** For callers of gRPC. */
  readonly code: StatusCode;
  /** Of gRPC-message. */
  readonly message: string;
  /** The full name of the rule; empty: not known. */
  readonly rule: string;
  readonly body: string;
  /** Whole lines, besides those about content. */
  readonly lines: string;
  /** What the body is, where `lines` do not say it. */
  readonly contentType: string;
}

/** Of a Verdict, or of what the mixer says. */
export interface Refusal {
  readonly code: StatusCode;
  readonly message: string;
  readonly rule: string;
  readonly direct: DirectReply | undefined;
  readonly responseHeaders: readonly HeaderChange[];
  readonly retryAfterMs: number;
}

type Row = readonly [name: string, http: number];

/** By code. */
// biome-ignore format: a table reads as a table
const codes: readonly Row[] = [
  ["OK",                  200],
  ["CANCELLED",           499],
  ["UNKNOWN",             500],
  ["INVALID_ARGUMENT",    400],
  ["DEADLINE_EXCEEDED",   504],
  ["NOT_FOUND",           404],
  ["ALREADY_EXISTS",      409],
  ["PERMISSION_DENIED",   403],
  ["RESOURCE_EXHAUSTED",  429],
  ["FAILED_PRECONDITION", 400],
  ["ABORTED",             409],
  ["OUT_OF_RANGE",        400],
  ["UNIMPLEMENTED",       501],
  ["INTERNAL",            500],
  ["UNAVAILABLE",         503],
  ["DATA_LOSS",           500],
  ["UNAUTHENTICATED",     401],
];
const unknown: Row = codes[StatusCode.unknown]!;

/** "PERMISSION_DENIED:denier.default:Not allowed": a reply's body, and `check.error_message`. */
export function statusText(code: StatusCode, message: string): string {
  return `${(codes[code] ?? unknown)[0]}:${message}`;
}

export function denialOf(refusal: Refusal): Denial {
  const { code, message, rule, direct, responseHeaders, retryAfterMs } = refusal;
  const [, http] = codes[code] ?? unknown;
  const failure =
    code === StatusCode.resourceExhausted ? Failures.rateLimited : Failures.policyDenied;
  const waits = retryAfterMs > 0 ? `retry-after: ${Math.ceil(retryAfterMs / 1_000)}\r\n` : "";
  const lines = textOfBytes(new HeaderEdits().add(responseHeaders).lines) + waits;
  const isFinal = direct !== undefined && direct.code >= 200 && direct.code <= 599;
  return {
    ...{ failure, status: isFinal ? direct.code : http, code, message, rule, lines },
    body: direct?.body ?? statusText(code, message),
    contentType: /^content-type:/im.test(lines) ? "" : "text/plain",
  };
}

/** Nobody answered, and the rules are closed then. */
export function unanswered(reason: string): Denial {
  return {
    failure: Failures.policyUnanswered,
    status: Failures.policyUnanswered.http,
    code: StatusCode.unavailable,
    message: reason,
    rule: "",
    body: statusText(StatusCode.unavailable, reason),
    lines: "",
    contentType: "text/plain",
  };
}
