/** denier: one answer to everything, for as long as it says. Spec: mixer 6. */
import { list, mapOf, message, type Reader, toRecord } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { integer, oneOf, text } from "../dialect/schema/scalar.ts";
import { type LocalHandler, localAdapter } from "../policy/adapter.ts";
import { span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type CheckResult, quotaRefused, reported } from "../policy/result.ts";
import { StatusCode } from "../policy/status-code.ts";

const codeNames = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** A code by its number, as google.rpc.Status has it, or by its name. */
const code: Reader<StatusCode> = (place) => {
  const name = oneOf(...codeNames)(place);
  return name === undefined ? undefined : (codeNames.indexOf(name) as StatusCode);
};

const DIRECT = "type.googleapis.com/istio.policy.v1beta1.DirectHttpResponse";

/** google.protobuf.Any of the one kind that is understood. */
const detail = message({
  "@type": oneOf(DIRECT),
  code: integer({ least: 0, most: 599 }),
  body: text,
  headers: mapOf(text),
});

const fields = message({
  status: message({ code, message: text, details: list(detail) }),
  validDuration: span(),
  validUseCount: integer({ least: 0 }),
});

function read(place: Place): CheckResult | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  const direct = value.status?.details?.[0];
  return {
    code: value.status === undefined ? StatusCode.failedPrecondition : (value.status.code ?? 0),
    message: value.status?.message ?? "",
    validDurationMs: value.validDuration ?? 5_000,
    validUseCount: value.validUseCount ?? 1_000,
    isFault: false,
    ...(direct && {
      direct: {
        code: direct.code ?? 0,
        body: direct.body ?? "",
        headers: toRecord(direct.headers),
      },
    }),
  };
}

export const denier = localAdapter<CheckResult>({
  name: "denier",
  templates: ["checknothing", "listentry", "quota"],
  read,
  open: (result): LocalHandler => ({
    check: () => result,
    allocate: () => quotaRefused,
    report: () => reported,
    close() {},
  }),
});
