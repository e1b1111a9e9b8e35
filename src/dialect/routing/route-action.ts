/**
 * What a route rule does besides choosing a destination: timeout, retries, faults, CORS. Durations
 * are `timeout: 2.5s`, or numbers of seconds in fields of the first releases.
 */
import type { CorsPolicy, Retries } from "../../model/route-rule.ts";
import { checkDuration, type Nanoseconds } from "../../model/validate-duration.ts";
import { checkHeaderName, checkHeaderValue, checkMethod } from "../../model/validate-http.ts";
import type { Complaint } from "../../model/validate-name.ts";
import { ignored, list, message, type Reader, type ValueOf } from "../schema/message.ts";
import { checkedText, duration, flag, integer, oneOf, percent, seconds } from "../schema/scalar.ts";

const noCustom = ignored("has no effect: policies of other proxies are not known");
const noOverride = ignored("has no effect: the header's name is fixed");

export const timeout = message({
  simpleTimeout: message({
    timeout: duration(),
    timeoutSeconds: seconds,
    overrideHeaderName: noOverride,
  }),
  custom: noCustom,
});

const simpleRetry = message({
  attempts: integer({ least: 0 }),
  perTryTimeout: duration(),
  perTryTimeoutSeconds: seconds,
  hedgeOnPerTryTimeout: oneOf("IDEMPOTENT", "ALL"),
  overrideHeaderName: noOverride,
});

export const retries = message({ simpleRetry, custom: noCustom });

const unsupportedDelay: Reader<never> = (place) => {
  place.error("is not supported", "use fixedDelay");
  return undefined;
};

const unsupportedStatus: Reader<never> = (place) => {
  place.error("is not supported", "use httpStatus");
  return undefined;
};

export const fault = message({
  delay: message({
    percent,
    fixedDelay: duration(),
    fixedDelaySeconds: seconds,
    exponentialDelay: unsupportedDelay,
    exponentialDelaySeconds: unsupportedDelay,
    overrideHeaderName: noOverride,
  }),
  abort: message({
    percent,
    httpStatus: integer({ least: 0, most: 600 }),
    grpcStatus: unsupportedStatus,
    http2Error: ignored("has no effect: streams are aborted with an HTTP status only"),
    overrideHeaderName: noOverride,
  }),
});

function checkMaxAge(value: Nanoseconds): Complaint {
  return (
    checkDuration(value) ?? (value % 1_000_000_000n === 0n ? undefined : "must be whole seconds")
  );
}

export const corsPolicy = message({
  allowOrigin: list(checkedText(checkHeaderValue)),
  allowMethods: list(checkedText(checkMethod)),
  allowHeaders: list(checkedText(checkHeaderName)),
  exposeHeaders: list(checkedText(checkHeaderName)),
  maxAge: duration(checkMaxAge),
  allowCredentials: flag,
});

export function readAction(
  writtenTimeout: ValueOf<typeof timeout> | undefined,
  writtenRetries: ValueOf<typeof retries> | undefined,
): { readonly timeoutMs?: number; readonly retry?: Retries } {
  const simple = writtenTimeout?.simpleTimeout;
  const timeoutMs = simple?.timeout ?? simple?.timeoutSeconds ?? 0;
  const retry = writtenRetries?.simpleRetry;
  const perTryTimeoutMs = retry?.perTryTimeout ?? retry?.perTryTimeoutSeconds ?? 0;
  const attempts = retry?.attempts ?? 0;
  const hedge = hedgeOf(retry, perTryTimeoutMs);
  // A written 0 says more than nothing written: not even what the mesh retries of its own.
  const isWritten = retry?.has("attempts") === true;
  return {
    ...(timeoutMs > 0 && { timeoutMs }),
    ...(isWritten && {
      retry: {
        attempts,
        ...(perTryTimeoutMs > 0 && { perTryTimeoutMs }),
        ...(hedge !== undefined && { hedge }),
      },
    }),
  };
}

function hedgeOf(
  retry: ValueOf<typeof simpleRetry> | undefined,
  perTryTimeoutMs: number,
): Retries["hedge"] {
  if (retry?.hedgeOnPerTryTimeout === undefined) return undefined;
  const place = retry.at("hedgeOnPerTryTimeout");
  if (perTryTimeoutMs === 0)
    place.error("needs a perTryTimeout", "it says when the next try joins the one under way");
  if ((retry.attempts ?? 0) === 0) place.error("needs attempts above 0");
  return retry.hedgeOnPerTryTimeout === "ALL" ? "all" : "idempotent";
}

/** Absent percentages mean 0 to the generators of that time, against their manuals. */
const noPercent = "without a percent above 0 it hits no request";

export function toFault(written: ValueOf<typeof fault> | undefined): {
  readonly delay?: { readonly percent: number; readonly fixedDelayMs: number };
  readonly abort?: { readonly percent: number; readonly httpStatus: number };
} {
  const { delay, abort } = written ?? {};
  const fixedDelayMs = delay?.fixedDelay ?? delay?.fixedDelaySeconds ?? 0;
  const httpStatus = abort?.httpStatus ?? 0;
  const delayed = (delay?.percent ?? 0) > 0;
  const aborted = (abort?.percent ?? 0) > 0;
  if (delay !== undefined && !delayed) delay.at().warn(noPercent, "write percent: 100");
  if (abort !== undefined && !aborted) abort.at().warn(noPercent, "write percent: 100");
  const delays = delay?.has("fixedDelay") || delay?.has("fixedDelaySeconds");
  if (delayed && !delays) delay!.at().warn("without fixedDelay it delays nothing");
  if (aborted && !abort?.has("httpStatus"))
    abort!.at().warn("without httpStatus it aborts nothing");
  return {
    ...(delayed && fixedDelayMs > 0 && { delay: { percent: delay!.percent!, fixedDelayMs } }),
    ...(aborted && httpStatus > 0 && { abort: { percent: abort!.percent!, httpStatus } }),
  };
}

export function toCors(written: ValueOf<typeof corsPolicy>): CorsPolicy {
  return {
    allowOrigins: (written.allowOrigin ?? []).map((value) => ({ kind: "exact", value })),
    allowMethods: written.allowMethods ?? [],
    allowHeaders: written.allowHeaders ?? [],
    exposeHeaders: written.exposeHeaders ?? [],
    ...(written.maxAge !== undefined && { maxAgeSeconds: written.maxAge / 1_000 }),
    allowCredentials: written.allowCredentials ?? false,
  };
}
