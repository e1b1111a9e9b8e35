/** What a caller is told when policy refuses: the sidecar's own mapping of codes (mixer 1.3, 2.3). */
import { type Failure, Failures } from "../../core/failure.ts";
import { checkAppendedName, checkHeaderValue } from "../../model/validate-http.ts";
import type { DirectResponse } from "../../policy/result.ts";
import { StatusCode } from "../../policy/status-code.ts";
import type { HeaderChange } from "../../policy/verdict.ts";

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
  readonly direct: DirectResponse | undefined;
  readonly responseHeaders: readonly HeaderChange[];
  readonly retryAfterMs: number;
}

type Row = readonly [name: string, http: number, ofDirect: number];

/** By code; the third is of direct responses that say no status themselves. */
// biome-ignore format: a table reads as a table
const codes: readonly Row[] = [
  ["OK",                  200, 200],
  ["CANCELLED",           499, 408],
  ["UNKNOWN",             500, 500],
  ["INVALID_ARGUMENT",    400, 400],
  ["DEADLINE_EXCEEDED",   504, 504],
  ["NOT_FOUND",           404, 404],
  ["ALREADY_EXISTS",      409, 409],
  ["PERMISSION_DENIED",   403, 403],
  ["RESOURCE_EXHAUSTED",  429, 429],
  ["FAILED_PRECONDITION", 400, 412],
  ["ABORTED",             409, 409],
  ["OUT_OF_RANGE",        400, 400],
  ["UNIMPLEMENTED",       501, 501],
  ["INTERNAL",            500, 500],
  ["UNAVAILABLE",         503, 503],
  ["DATA_LOSS",           500, 500],
  ["UNAUTHENTICATED",     401, 401],
];
const unknown: Row = codes[StatusCode.unknown]!;

/** "PERMISSION_DENIED:denier.default:Not allowed": a reply's body, and `check.error_message`. */
export function statusText(code: StatusCode, message: string): string {
  return `${(codes[code] ?? unknown)[0]}:${message}`;
}

export function denialOf(refusal: Refusal): Denial {
  const { code, message, rule, direct, retryAfterMs } = refusal;
  const [, http, ofDirect] = codes[code] ?? unknown;
  const failure =
    code === StatusCode.resourceExhausted ? Failures.rateLimited : Failures.policyDenied;
  const waits = retryAfterMs > 0 ? `retry-after: ${Math.ceil(retryAfterMs / 1_000)}\r\n` : "";
  if (direct === undefined)
    return {
      ...{ failure, status: http, code, message, rule, lines: waits },
      body: statusText(code, message),
      contentType: "text/plain",
    };
  const isFinal = direct.code >= 200 && direct.code <= 599;
  const lines = directLines(direct);
  return {
    ...{ failure, status: isFinal ? direct.code : ofDirect, code, message, rule },
    lines: lines + waits,
    body: direct.body,
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

/** What cannot be said in a field is left out; several cookies are several fields. */
function directLines({ headers }: DirectResponse): string {
  let lines = "";
  for (const [written, value] of Object.entries(headers)) {
    const name = written.toLowerCase();
    const values = name === "set-cookie" ? value.split(",") : [value];
    if (checkAppendedName(name) !== undefined) continue;
    for (const one of values) {
      const text = one.trim();
      if (checkHeaderValue(text) === undefined) lines += `${name}: ${text}\r\n`;
    }
  }
  return lines;
}
