/** What adapters answer to the three questions of the mixer: may it, how much, and take note. */
import type { Value } from "../attribute/value.ts";
import { StatusCode } from "./status-code.ts";

/** An answer in place of the upstream's, with headers that the adapter chose. */
export interface DirectResponse {
  /** HTTP; 0: what the status code maps to. */
  readonly code: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface CheckResult {
  readonly code: StatusCode;
  /** Empty if OK. */
  readonly message: string;
  /** How long and how often the answer may be used again; 0: says nothing about it. */
  readonly validDurationMs: number;
  readonly validUseCount: number;
  /** The adapter could not judge: no denial, the fail policy of the rule applies. */
  readonly isFault: boolean;
  readonly direct?: DirectResponse;
  /** Of a template with an output: its fields, which header operations may read. */
  readonly output?: Readonly<Record<string, Value>>;
}

export interface QuotaRequest {
  /** Negative: gives back. */
  readonly amount: number;
  /** Less than the amount is better than nothing. */
  readonly bestEffort: boolean;
  /** The same id, the same answer; empty: each time anew. */
  readonly dedupId: string;
  /** Wall clock, since 1970. */
  readonly nowMs: number;
}

export interface QuotaResult {
  readonly granted: number;
  /** For how long what was granted may be used; 0: says nothing about it. */
  readonly validDurationMs: number;
  readonly code: StatusCode;
  readonly message: string;
  /** Of a refusal: when there will be enough again; absent: not known. */
  readonly retryAfterMs?: number;
}

/** What could not be reported, in words; mostly empty. */
export type ReportResult = readonly string[];

export const checkOk: CheckResult = {
  code: StatusCode.ok,
  message: "",
  validDurationMs: 0,
  validUseCount: 0,
  isFault: false,
};

/** The adapter could not judge. */
export function checkFault(message: string, code: StatusCode = StatusCode.internal): CheckResult {
  return { code, message, validDurationMs: 0, validUseCount: 0, isFault: true };
}

/** Nothing is granted, and nothing is wrong. */
export const quotaRefused: QuotaResult = {
  granted: 0,
  validDurationMs: 0,
  code: StatusCode.ok,
  message: "",
};

export function quotaGranted(granted: number, validDurationMs: number): QuotaResult {
  return { granted, validDurationMs, code: StatusCode.ok, message: "" };
}

export function quotaFault(code: StatusCode, message: string): QuotaResult {
  return { granted: 0, validDurationMs: 0, code, message };
}

/** All was reported. */
export const reported: ReportResult = [];

/** What a generator found out: its template's output, as far as it is known. */
export interface GenerateResult {
  readonly output: Readonly<Record<string, Value>>;
  /** Empty, unless it could not find out: then the fail policy applies. */
  readonly fault: string;
}
