/** A route of the configuration ─▶ references and prepared bytes. */
import type {
  CorsPolicy as CorsResource,
  Fault as FaultResource,
  HeaderValue,
  Mirror as MirrorResource,
  RetryPolicy as RetryResource,
  Rewrite as RewriteResource,
  Route as RouteResource,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { RetryPolicy_Condition, RetryPolicy_Hedge } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { checkAppendedName } from "../../model/validate-http.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { encode } from "../route/byte-range.ts";
import { CorsPolicy } from "../route/cors.ts";
import { RetryOn, type RetryPolicy } from "../route/retry.ts";
import type { Fault, Mirror, Rewrite, Route } from "../route/route.ts";
import type { RouteCondition } from "../route/route-condition.ts";
import { StringMatcher } from "../route/string-matcher.ts";
import { compileAction, targetPattern } from "./compile-action.ts";
import { compileMatch, compileStringMatch } from "./compile-match.ts";
import { formatOrigin, type ProblemList } from "./problem-list.ts";

export interface CompiledRoute {
  readonly route: Route;
  readonly condition: RouteCondition;
}

export type Clusters = ReadonlyMap<string, Cluster>;

const BACKOFF_MS = 25;

export function compileRoute(
  resource: RouteResource,
  clusters: Clusters,
  problems: ProblemList,
): CompiledRoute | undefined {
  const condition = compileMatch(resource.match, problems.at("match"));
  const action = compileAction(resource, clusters, problems);
  const { rewrite, retry, fault, mirror, cors } = resource;
  const requestFields = fieldLines(resource.appendRequestHeaders, problems);
  const compiled = {
    rewrite: rewrite && compileRewrite(rewrite, condition, problems.at("rewrite")),
    retry: retry && compileRetry(retry),
    fault: fault && compileFault(fault, problems.at("fault")),
    mirror: mirror && compileMirror(mirror, clusters, problems.at("mirror")),
    cors: cors && compileCors(cors, problems.at("cors")),
  };
  if (action === undefined) return undefined;
  const route: Route = {
    name: resource.name,
    origin: formatOrigin(resource.origin),
    action,
    rewrite: compiled.rewrite,
    timeoutMs: resource.timeoutMs,
    timeoutIsDefault: resource.timeoutIsDefault,
    retry: compiled.retry,
    fault: compiled.fault,
    mirror: compiled.mirror,
    cors: compiled.cors,
    requestFields,
    websocket: resource.websocket,
  };
  return { route, condition };
}

function compileRewrite(
  { uri, authority }: RewriteResource,
  { path }: RouteCondition,
  problems: ProblemList,
): Rewrite | undefined {
  if (!targetPattern.test(uri)) problems.at("uri").add(`"${uri}" cannot be part of a request`);
  if (!targetPattern.test(authority))
    problems.at("authority").add(`"${authority}" is not a host or host:port`);
  if (uri === "" && authority === "") return undefined;
  const ofPrefix = path?.kind === "prefix" || path?.kind === "segment-prefix";
  // The root's own slash stays with what follows it.
  const ofRoot = ofPrefix && path.key.length === 1;
  return {
    uri: uri === "" ? undefined : encode(uri.startsWith("/") ? uri : `/${uri}`),
    prefixBytes: ofRoot ? 0 : ofPrefix ? path.key.length : -1,
    authority: authority === "" ? undefined : encode(authority),
  };
}

const hedges: Readonly<Record<number, RetryPolicy["hedge"]>> = {
  [RetryPolicy_Hedge.IDEMPOTENT]: "idempotent",
  [RetryPolicy_Hedge.ALL]: "all",
};

function compileRetry(retry: RetryResource): RetryPolicy | undefined {
  if (retry.attempts === 0) return undefined;
  const bits = retry.on.reduce((on, condition) => on | bitOf(condition), 0);
  const hedge = hedges[retry.hedge];
  const usual = RetryOn.serverError | RetryOn.connectFailure | RetryOn.refusedStream;
  return {
    attempts: retry.attempts,
    perTryTimeoutMs: retry.perTryTimeoutMs,
    on: bits === 0 ? usual : bits,
    backoffMs: retry.backoffMs || BACKOFF_MS,
    ...(hedge !== undefined && { hedge }),
  };
}

function bitOf(condition: RetryPolicy_Condition): number {
  switch (condition) {
    case RetryPolicy_Condition.CONDITION_5XX:
      return RetryOn.serverError;
    case RetryPolicy_Condition.CONDITION_CONNECT_FAILURE:
      return RetryOn.connectFailure;
    case RetryPolicy_Condition.CONDITION_REFUSED_STREAM:
      return RetryOn.refusedStream;
    case RetryPolicy_Condition.CONDITION_RESET:
      return RetryOn.reset;
    case RetryPolicy_Condition.CONDITION_GATEWAY_ERROR:
      return RetryOn.gatewayError;
    case RetryPolicy_Condition.CONDITION_IDEMPOTENT_RESET:
      return RetryOn.idempotentReset;
    case RetryPolicy_Condition.CONDITION_CANCELLED:
      return RetryOn.cancelled;
    case RetryPolicy_Condition.CONDITION_DEADLINE_EXCEEDED:
      return RetryOn.deadlineExceeded;
    case RetryPolicy_Condition.CONDITION_INTERNAL:
      return RetryOn.internal;
    case RetryPolicy_Condition.CONDITION_RESOURCE_EXHAUSTED:
      return RetryOn.resourceExhausted;
    case RetryPolicy_Condition.CONDITION_UNAVAILABLE:
      return RetryOn.unavailable;
    default:
      return 0;
  }
}

function compileFault(fault: FaultResource, problems: ProblemList): Fault | undefined {
  const delays = fault.delayMs > 0 ? fraction(fault.delayPercent, problems, "delay_percent") : 0;
  const aborts =
    fault.abortStatus > 0 ? fraction(fault.abortPercent, problems, "abort_percent") : 0;
  if (fault.abortStatus > 0 && (fault.abortStatus < 200 || fault.abortStatus > 599))
    problems.at("abort_status").add(`${fault.abortStatus} is not a final status (200 to 599)`);
  if (delays === 0 && aborts === 0) return undefined;
  return {
    delayFraction: delays,
    delayMs: fault.delayMs,
    abortFraction: aborts,
    abortStatus: fault.abortStatus,
  };
}

function fraction(percent: number, problems: ProblemList, field: string): number {
  if (!(percent >= 0 && percent <= 100)) problems.at(field).add(`${percent} is not in 0 to 100`);
  return percent / 100;
}

function compileMirror(
  mirror: MirrorResource,
  clusters: Clusters,
  problems: ProblemList,
): Mirror | undefined {
  const share = fraction(mirror.percent, problems, "percent");
  const cluster = clusters.get(mirror.cluster);
  if (cluster === undefined) {
    problems.at("cluster").add(`no cluster is named "${mirror.cluster}"`);
    return undefined;
  }
  return share === 0 ? undefined : { cluster, fraction: share };
}

function compileCors(cors: CorsResource, problems: ProblemList): CorsPolicy {
  const origins = cors.allowOrigins.map((origin, i) =>
    origin.kind.case === "exact" && origin.kind.value === "*"
      ? new StringMatcher("present", encode(""), false)
      : compileStringMatch(origin, problems.at(`allow_origins[${i}]`)),
  );
  const line = (name: string, values: readonly string[]): string => {
    const bad = values.find((value) => !targetPattern.test(value));
    if (bad !== undefined) problems.add(`"${bad}" cannot be part of ${name}`);
    return values.length === 0 ? "" : `${name}: ${values.join(",")}\r\n`;
  };
  const credentials = line(
    "access-control-allow-credentials",
    cors.allowCredentials ? ["true"] : [],
  );
  const vary = "vary: origin\r\n";
  const age = cors.maxAgeSeconds > 0 ? [String(cors.maxAgeSeconds)] : [];
  const response = credentials + line("access-control-expose-headers", cors.exposeHeaders) + vary;
  const preflight =
    credentials +
    line("access-control-allow-methods", cors.allowMethods) +
    line("access-control-allow-headers", cors.allowHeaders) +
    line("access-control-max-age", age) +
    vary;
  return new CorsPolicy(origins, { response: encode(response), preflight: encode(preflight) });
}

function fieldLines(headers: readonly HeaderValue[], problems: ProblemList): Uint8Array {
  let lines = "";
  for (const [i, { name, value }] of headers.entries()) {
    const here = problems.at(`append_request_headers[${i}]`);
    const complaint = checkAppendedName(name.toLowerCase());
    if (complaint !== undefined) here.add(`"${name}" ${complaint}`);
    if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value))
      here.add(`the value of ${name} has a control character`);
    lines += `${name}: ${value.trim()}\r\n`;
  }
  return encode(lines);
}
