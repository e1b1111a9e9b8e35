/**
 * Answers of a webhook, JSON from the network: read as strictly as a rule, and by JSON.parse, whose
 * time is in proportion to the text whatever the text is. Undefined: not understood.
 */
import { parseDuration, toMs } from "../model/validate-duration.ts";
import { type CheckResult, type QuotaResult, quotaGranted } from "../policy/result.ts";
import type { StatusCode } from "../policy/status-code.ts";

type Fields = Readonly<Record<string, unknown>>;

/** `{"code":7,"message":"no","validDuration":"5s","validUseCount":100,"direct":{…}}` */
export function readCheckAnswer(body: string): CheckResult | undefined {
  const answer = fieldsOf(parse(body), checkFields);
  if (answer === undefined) return undefined;
  const { code = 0, message = "", validUseCount = 0, direct } = answer;
  const validDurationMs = spanOf(answer.validDuration);
  const instead = direct === undefined ? undefined : directOf(direct);
  if (!isWhole(code, 16) || typeof message !== "string" || !isWhole(validUseCount, 2 ** 31 - 1))
    return undefined;
  if (validDurationMs === undefined || (direct !== undefined && instead === undefined))
    return undefined;
  const result = { code: code as StatusCode, message, validDurationMs, validUseCount };
  return { ...result, isFault: false, ...(instead && { direct: instead }) };
}

/** `{"granted":1,"validDuration":"1s"}` */
export function readQuotaAnswer(body: string): QuotaResult | undefined {
  const answer = fieldsOf(parse(body), quotaFields);
  const validDurationMs = spanOf(answer?.validDuration);
  const granted = answer?.granted;
  if (!isWhole(granted, Number.MAX_SAFE_INTEGER) || validDurationMs === undefined) return undefined;
  return quotaGranted(granted, validDurationMs);
}

const checkFields = ["code", "message", "validDuration", "validUseCount", "direct"];
const quotaFields = ["granted", "validDuration"];
const directFields = ["code", "body", "headers"];
/** RFC 9110 5.1 and 5.5: a backend may not end a field, and so begin one that nobody wrote. */
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export function isHeaderName(name: string): boolean {
  return HEADER_NAME.test(name);
}

export function isHeaderValue(value: string): boolean {
  return HEADER_VALUE.test(value);
}

function directOf(value: unknown): CheckResult["direct"] {
  const direct = fieldsOf(value, directFields);
  if (direct === undefined) return undefined;
  const { code = 0, body = "", headers = {} } = direct;
  if (!isWhole(code, 599) || typeof body !== "string" || !isHeaders(headers)) return undefined;
  return { code, body, headers };
}

function isHeaders(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([name, of]) => isHeaderName(name) && typeof of === "string" && isHeaderValue(of),
  );
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** An object that has none but these fields. */
function fieldsOf(value: unknown, known: readonly string[]): Fields | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.keys(value).every((name) => known.includes(name)) ? { ...value } : undefined;
}

function isWhole(value: unknown, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;
}

/** Milliseconds; absent is 0. */
function spanOf(value: unknown): number | undefined {
  if (value === undefined) return 0;
  const read = typeof value === "string" ? parseDuration(value) : undefined;
  return read === undefined || read < 0n ? undefined : toMs(read);
}
