/** What the mixer answered to one Check, in the words of policy/. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type CheckResponse,
  HeaderOperation_Operation,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { durationOfMessage } from "../../attribute/well-known-time.ts";
import type { DirectResponse } from "../../policy/result.ts";
import { StatusCode } from "../../policy/status-code.ts";
import type { HeaderChange } from "../../policy/verdict.ts";

export interface CheckAnswer {
  readonly code: StatusCode;
  readonly message: string;
  readonly direct: DirectResponse | undefined;
  readonly requestHeaders: readonly HeaderChange[];
  readonly responseHeaders: readonly HeaderChange[];
}

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

/** Of a stranger's making, and used for every request of a kind. */
const CHANGES_MAX = 100;

export function answerOf({ status, routeDirective }: Precondition): CheckAnswer {
  const directCode = routeDirective?.directResponseCode ?? 0;
  const changes = (list: NonNullable<typeof routeDirective>["requestHeaderOperations"] = []) =>
    list.slice(0, CHANGES_MAX).map(({ name, value, operation }) => ({
      name,
      value,
      operation: operations[operation] ?? "replace",
    }));
  return {
    code: statusCodeOf(status?.code ?? 0),
    message: status?.message ?? "",
    direct:
      directCode === 0
        ? undefined
        : { code: directCode, body: routeDirective?.directResponseBody ?? "", headers: {} },
    requestHeaders: changes(routeDirective?.requestHeaderOperations),
    responseHeaders: changes(routeDirective?.responseHeaderOperations),
  };
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
