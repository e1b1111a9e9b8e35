/** An answer that an adapter gives in place of the upstream's. Spec: mixer 1.3. */
import type { DirectResponse } from "./result.ts";
import { StatusCode } from "./status-code.ts";
import type { DirectReply, HeaderChange } from "./verdict.ts";

/** A code of gRPC in HTTP, where an adapter chose none; proxies have a mapping of their own. */
const httpStatus: Readonly<Record<StatusCode, number>> = {
  [StatusCode.ok]: 200,
  [StatusCode.cancelled]: 408,
  [StatusCode.unknown]: 500,
  [StatusCode.invalidArgument]: 400,
  [StatusCode.deadlineExceeded]: 504,
  [StatusCode.notFound]: 404,
  [StatusCode.alreadyExists]: 409,
  [StatusCode.permissionDenied]: 403,
  [StatusCode.resourceExhausted]: 429,
  [StatusCode.failedPrecondition]: 412,
  [StatusCode.aborted]: 409,
  [StatusCode.outOfRange]: 400,
  [StatusCode.unimplemented]: 501,
  [StatusCode.internal]: 500,
  [StatusCode.unavailable]: 503,
  [StatusCode.dataLoss]: 500,
  [StatusCode.unauthenticated]: 401,
};

export function directReply({ code, body }: DirectResponse, status: StatusCode): DirectReply {
  return { code: code === 0 ? (httpStatus[status] ?? 500) : code, body };
}

/** Each replaces what the reply has by that name; of cookies there may be several. */
export function replyHeaders({ headers }: DirectResponse): HeaderChange[] {
  return Object.entries(headers).flatMap(([name, value]): HeaderChange[] =>
    name.toLowerCase() === "set-cookie"
      ? splitCookies(value).map((cookie) => ({ name, value: cookie, operation: "append" }))
      : [{ name, value, operation: "replace" }],
  );
}

/** At commas before `name=`; there are others, in dates: "Wed, 09 Jun 2027". RFC 6265, 4.1.1. */
function splitCookies(value: string): string[] {
  return value
    .split(/,(?=[^;,=]+=)/)
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie !== "");
}
