/**
 * Answers of backends over gRPC, bytes from the network: read as strictly as those in JSON
 * (webhook-answer.ts). Undefined: not understood.
 */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  CheckResultSchema,
  QuotaResultSchema,
  ReportResultSchema,
} from "../api/gen/istio/mixer/adapter/model/v1beta1/model_pb.ts";
import {
  type CheckResult,
  type QuotaResult,
  quotaGranted,
  type ReportResult,
  reported,
} from "../policy/result.ts";
import type { StatusCode } from "../policy/status-code.ts";

/** What google.protobuf.Duration may say, in seconds: 10,000 years. */
const SECONDS_MAX = 315_576_000_000n;

export function readCheckResult(bytes: Uint8Array): CheckResult | undefined {
  const answer = decode(CheckResultSchema, bytes);
  const validDurationMs = spanOf(answer?.validDuration);
  if (answer === undefined || validDurationMs === undefined) return undefined;
  const { status, validUseCount } = answer;
  const { code = 0, message = "" } = status ?? {};
  if (code < 0 || code > 16 || validUseCount < 0) return undefined;
  return {
    ...{ code: code as StatusCode, message: code === 0 ? "" : message },
    ...{ validDurationMs, validUseCount, isFault: false },
  };
}

/** The one of the quota that was asked for; a backend that leaves it out has not judged. */
export function readQuotaResult(bytes: Uint8Array, quota: string): QuotaResult | undefined {
  const answer = decode(QuotaResultSchema, bytes)?.quotas[quota];
  const validDurationMs = spanOf(answer?.validDuration);
  if (answer === undefined || validDurationMs === undefined) return undefined;
  const granted = Number(answer.grantedAmount);
  if (granted < 0 || !Number.isSafeInteger(granted)) return undefined;
  return quotaGranted(granted, validDurationMs);
}

export function readReportResult(bytes: Uint8Array): ReportResult | undefined {
  return decode(ReportResultSchema, bytes) && reported;
}

function decode<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> | undefined {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return undefined;
  }
}

/** Milliseconds; absent is 0. */
function spanOf(duration: Duration | undefined): number | undefined {
  if (duration === undefined) return 0;
  const { seconds, nanos } = duration;
  if (seconds < 0n || seconds > SECONDS_MAX || nanos < 0 || nanos > 999_999_999) return undefined;
  return Number(seconds) * 1_000 + nanos / 1_000_000;
}
