/**
 * `extensionProviders` of a MeshConfig: those that CUSTOM policies ask, and others, which are
 * judged as Istio judges them and have no effect here.
 */
import { isIP } from "node:net";
import type { ExternalAuthorizer } from "../../model/external-authorizer.ts";
import { checkHeaderName, checkHeaderValue, checkPath } from "../../model/validate-http.ts";
import { type Complaint, checkDnsLabel, checkFqdn } from "../../model/validate-name.ts";
import { portNumber } from "../networking/workload-entry.ts";
import {
  type Fields,
  list,
  type Message,
  mapOf,
  message,
  type Reader,
  type ValueOf,
} from "../schema/message.ts";
import { checkedText, duration, flag, integer, nonEmpty, text } from "../schema/scalar.ts";

/** "zipkin.istio-system", "foo/ext-authz.foo.svc.cluster.local", "127.0.0.1" */
export function checkProviderService(value: string): Complaint {
  const parts = value.split("/");
  const host = parts.at(-1) ?? "";
  if (parts.length > 2) return 'must be "host" or "namespace/host"';
  if (parts.length === 2) {
    const complaint = checkDnsLabel(parts[0] ?? "", "lower");
    if (complaint !== undefined) return `has a namespace that ${complaint}`;
  }
  if (isIP(host) !== 0 && parts.length === 1) return undefined;
  const complaint = checkFqdn(host);
  return complaint === undefined ? undefined : `has a host that ${complaint}`;
}

const service = checkedText(checkProviderService);
const anything: Reader<never> = () => undefined;
/** With "*" at an end: all that begin or end so. */
const fieldPattern = checkedText((value) =>
  value === "*" ? undefined : checkHeaderName(value.replace(/^\*|\*$/, "").toLowerCase()),
);

const statusOnError: Reader<number> = (place) => {
  const value = integer({ least: 200, most: 599 })(place);
  return value === undefined ? undefined : value;
};

const body = message({
  maxRequestBytes: integer({ least: 0 }),
  allowPartialMessage: flag,
  packAsBytes: flag,
});

const asked = {
  service,
  port: portNumber,
  timeout: duration(),
  failOpen: flag,
  statusOnError,
  includeRequestBodyInCheck: body,
  clearRouteCache: anything,
};

const byHttp = message({
  ...asked,
  pathPrefix: checkedText((value) =>
    value === "" || value.startsWith("/") ? checkPath(value) : 'must begin with "/"',
  ),
  includeHeadersInCheck: list(fieldPattern),
  includeRequestHeadersInCheck: list(fieldPattern),
  includeAdditionalHeadersInCheck: mapOf(checkedText(checkHeaderValue)),
  headersToUpstreamOnAllow: list(fieldPattern),
  headersToDownstreamOnDeny: list(fieldPattern),
  headersToDownstreamOnAllow: list(fieldPattern),
});

const byGrpc = message(asked);

function others(names: string): Readonly<Record<string, Reader<never>>> {
  return Object.fromEntries(names.split(/\s+/).map((name) => [name, anything]));
}

/** They are called at a service; what else they have is theirs. */
function called(names: string): Reader<Message<{ service: typeof service; port: Reader<number> }>> {
  const read = message({ service, port: portNumber, ...others(names) } as Fields);
  return (place) => {
    const provider = read(place);
    for (const needed of ["service", "port"] as const)
      if (provider !== undefined && !provider.has(needed)) place.error(`must have a ${needed}`);
    return undefined;
  };
}

const lightstep: Reader<never> = (place) => {
  const token = nonEmpty;
  const fields = { service, port: portNumber, accessToken: token, maxTagLength: anything };
  const provider = message(fields)(place);
  for (const needed of ["service", "port", "accessToken"] as const)
    if (provider !== undefined && !provider.has(needed)) place.error(`must have a ${needed}`);
  return undefined;
};

const kinds = {
  envoyExtAuthzHttp: byHttp,
  envoyExtAuthzGrpc: byGrpc,
  zipkin: called("maxTagLength enable64bitTraceId path headers timeout traceContextOption"),
  lightstep,
  datadog: called("maxTagLength"),
  skywalking: called("accessToken"),
  opencensus: called("context maxTagLength"),
  opentelemetry: called(
    "maxTagLength http grpc resourceDetectors dynatraceSampler initialMetadata timeout",
  ),
  envoyHttpAls: called(
    `logName filterStateObjectsToLog additionalRequestHeadersToLog additionalResponseHeadersToLog
     additionalResponseTrailersToLog`,
  ),
  envoyTcpAls: called("logName filterStateObjectsToLog"),
  envoyOtelAls: called("logName logFormat"),
  ...others("stackdriver prometheus envoyFileAccessLog sds"),
} satisfies Fields;

const provider = message({ name: text, ...kinds });

type Written = NonNullable<ValueOf<typeof provider>>;
type Asked = NonNullable<ValueOf<typeof byHttp>> | NonNullable<ValueOf<typeof byGrpc>>;

const kindNames = Object.keys(kinds) as (keyof typeof kinds)[];

/** Those that may be asked; all are judged. */
export const extensionProviders: Reader<readonly ExternalAuthorizer[]> = (place) => {
  const providers = list(provider)(place);
  const seen = new Set<string>();
  return providers?.flatMap((one) => {
    const { name = "" } = one;
    if (name === "") one.at().error("must have a name");
    else if (seen.has(name)) one.at("name").error(`"${name}" is another provider's name`);
    seen.add(name);
    return toAuthorizer(one) ?? [];
  });
};

function toAuthorizer(one: Written): ExternalAuthorizer | undefined {
  const given = kindNames.filter((kind) => one.has(kind));
  if (given.length !== 1) one.at().error(`must be one kind of provider, not ${given.length}`);
  const { name = "", envoyExtAuthzHttp: http, envoyExtAuthzGrpc: grpc } = one;
  const wanted = http ?? grpc;
  if (wanted === undefined) {
    if (one.at().reading.errors === 0) one.at(given[0]).warn("is not obeyed (yet)");
    return undefined;
  }
  for (const needed of ["service", "port"] as const)
    if (!wanted.has(needed)) wanted.at().error(`must have a ${needed}`);
  return {
    ...{ name, protocol: http === undefined ? "GRPC" : "HTTP" },
    ...commonOf(wanted),
    pathPrefix: http?.pathPrefix ?? "",
    includeRequestHeaders: [
      ...(http?.includeHeadersInCheck ?? []),
      ...(http?.includeRequestHeadersInCheck ?? []),
    ],
    additionalHeaders: (http?.includeAdditionalHeadersInCheck ?? []).map(({ key, value, at }) => {
      const complaint = checkHeaderName(key.toLowerCase());
      if (complaint !== undefined) at.error(`"${key}" ${complaint}`);
      return { name: key, value };
    }),
    headersToUpstreamOnAllow: http?.headersToUpstreamOnAllow ?? [],
    headersToDownstreamOnDeny: http?.headersToDownstreamOnDeny ?? [],
    headersToDownstreamOnAllow: http?.headersToDownstreamOnAllow ?? [],
  };
}

function commonOf(wanted: Asked) {
  const { service: host = "", port = 0, timeout, includeRequestBodyInCheck: told } = wanted;
  if (told !== undefined && (told.maxRequestBytes ?? 0) === 0)
    told.at().error("must have maxRequestBytes");
  return {
    service: host,
    port,
    ...(timeout !== undefined && { timeoutMs: timeout }),
    failOpen: wanted.failOpen ?? false,
    statusOnError: wanted.statusOnError ?? 0,
    ...(told !== undefined && {
      body: {
        maxBytes: told.maxRequestBytes ?? 0,
        allowPartial: told.allowPartialMessage ?? false,
        packAsBytes: told.packAsBytes ?? false,
      },
    }),
  };
}
