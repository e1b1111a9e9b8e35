/** What the mixer answered to one Check, in the words of policy/. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type CheckResponse,
  HeaderOperation_Operation,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { durationOfMessage } from "../../attribute/well-known-time.ts";
import { StatusCode } from "../../policy/status-code.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import type { MixerAnswer } from "../policy/mixer-seat.ts";

/** For how long and how often an answer may be used again. */
export interface Validity {
  /** Infinity: the mixer sets no end. */
  readonly durationMs: number;
  /** 0: not again; negative: as often as wanted. */
  readonly useCount: number;
}

type Precondition = NonNullable<CheckResponse["precondition"]>;

const operations: Readonly<Record<number, HeaderChange["operation"]>> = {
  [HeaderOperation_Operation.REPLACE]: "replace",
  [HeaderOperation_Operation.REMOVE]: "remove",
  [HeaderOperation_Operation.APPEND]: "append",
};

/** Metadata of answers of a mixer of ours. */
const RULE_HEADER = "mesh-policy-rule";
const RETRY_AFTER_HEADER = "mesh-retry-after-ms";

/** Of a stranger's making, and used for every request of a kind. */
const CHANGES_MAX = 100;

/** `header`: of the metadata that came with it, where a mixer of ours tells more. */
export function answerOf(
  { status, routeDirective }: Precondition,
  header: (name: string) => string | undefined = () => undefined,
): MixerAnswer {
  const directCode = routeDirective?.directResponseCode ?? 0;
  const changes = (list: NonNullable<typeof routeDirective>["requestHeaderOperations"] = []) =>
    list.slice(0, CHANGES_MAX).map(({ name, value, operation }) => ({
      name,
      value,
      operation: operations[operation] ?? "replace",
    }));
  return {
    at: "answered",
    rule: header(RULE_HEADER) ?? "",
    retryAfterMs: retryAfterMsOf(header),
    code: statusCodeOf(status?.code ?? 0),
    message: status?.message ?? "",
    direct:
      directCode === 0
        ? undefined
        : { code: directCode, body: routeDirective?.directResponseBody ?? "" },
    requestHeaders: changes(routeDirective?.requestHeaderOperations),
    responseHeaders: changes(routeDirective?.responseHeaderOperations),
  };
}

/** Also of quotas that were refused beside a yes; 0: unknown. */
export function retryAfterMsOf(header: (name: string) => string | undefined): number {
  const waitMs = Number(header(RETRY_AFTER_HEADER) ?? 0);
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : 0;
}

export function validityOf({ validDuration, validUseCount }: Precondition): Validity {
  const durationMs = validDuration === undefined ? Infinity : validMsOf(validDuration);
  return { durationMs, useCount: validUseCount };
}

/** 0 where it says nothing, or nothing that can be understood. */
export function validMsOf(message: Duration | undefined): number {
  const ns = message === undefined ? 0 : durationOfMessage(message);
  return Math.max(0, Number(ns ?? 0) / 1e6);
}

/** A number beyond gRPC's is UNKNOWN. */
export function statusCodeOf(code: number): StatusCode {
  return Object.values(StatusCode).find((known) => known === code) ?? StatusCode.unknown;
}
