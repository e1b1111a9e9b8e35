/** One of our routes in the words of Envoy's v1 format. */
import {
  RetryPolicy_Condition as On,
  type Route,
  type StringMatch,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";

export interface V1Header {
  readonly name: string;
  readonly value: string;
  readonly regex?: boolean;
}

export interface V1Route {
  readonly path?: string;
  readonly prefix?: string;
  readonly regex?: string;
  readonly headers?: readonly V1Header[];
  readonly cluster?: string;
  readonly weighted_clusters?: {
    readonly clusters: readonly { readonly name: string; readonly weight: number }[];
  };
  readonly path_redirect?: string;
  readonly host_redirect?: string;
  readonly prefix_rewrite?: string;
  readonly host_rewrite?: string;
  readonly timeout_ms?: number;
  readonly retry_policy?: {
    readonly retry_on: string;
    readonly num_retries: number;
    readonly per_try_timeout_ms?: number;
  };
  readonly use_websocket?: boolean;
  readonly request_headers_to_add?: readonly { readonly key: string; readonly value: string }[];
  readonly shadow?: { readonly cluster: string };
  readonly cors?: Readonly<Record<string, unknown>>;
  readonly opaque_config?: object;
  readonly decorator?: object;
}

export function routeInV1(route: Route): V1Route {
  const { match, rewrite, retry, mirror, cors, action } = route;
  const redirect = action.case === "redirect" ? action.value : undefined;
  const forward = action.case === "forward" ? action.value : undefined;
  const pseudo = [
    [":authority", match?.authority],
    [":method", match?.method],
    [":scheme", match?.scheme],
  ] as const;
  const headers = [
    ...pseudo.map(([name, value]) => ({ name, value })),
    ...(match?.headers ?? []),
  ].flatMap(({ name, value }) => (value === undefined ? [] : [headerInV1(name, value)]));
  return {
    ...pathInV1(match?.path),
    headers: headers.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    ...(redirect?.uri && { path_redirect: redirect.uri }),
    ...(redirect?.authority && { host_redirect: redirect.authority }),
    ...(rewrite?.uri && { prefix_rewrite: rewrite.uri }),
    ...(rewrite?.authority && { host_rewrite: rewrite.authority }),
    ...(forward && {
      weighted_clusters: {
        clusters: forward.clusters.map(({ cluster, weight }) => ({
          name: bareName(cluster),
          weight,
        })),
      },
    }),
    timeout_ms: redirect === undefined ? route.timeoutMs : 0,
    ...(retry && redirect === undefined && { retry_policy: retryInV1(retry) }),
    ...(isRule(route) && route.websocket && { use_websocket: true }),
    ...(route.appendRequestHeaders.length > 0 && {
      request_headers_to_add: route.appendRequestHeaders.map(({ name, value }) => ({
        key: name,
        value,
      })),
    }),
    ...(mirror && { shadow: { cluster: bareName(mirror.cluster) } }),
    ...(cors && { cors: corsInV1(cors) }),
  };
}

/** Without a rule an upgrade always passes, which the original could not say. */
function isRule(route: Route): boolean {
  return route.name !== "default-route";
}

/** "outbound|80|version=v1|world" ─▶ "world|80|version=v1" */
export function bareName(cluster: string): string {
  const [, port, labels, host] = cluster.split("|");
  return labels === "" ? `${host}|${port}` : `${host}|${port}|${labels}`;
}

function pathInV1(path: StringMatch | undefined): V1Route {
  const kind = path?.kind;
  if (kind?.case === "exact") return { path: kind.value };
  if (kind?.case === "regex") return { regex: kind.value };
  return { prefix: kind?.case === "prefix" ? kind.value : "/" };
}

function headerInV1(name: string, { kind }: StringMatch): V1Header {
  if (kind.case === "exact") return { name, value: kind.value };
  const value = kind.case === "prefix" ? `^${quoted(kind.value)}.*` : String(kind.value);
  return { name, value, regex: true };
}

function quoted(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}

function retryInV1(retry: NonNullable<Route["retry"]>): NonNullable<V1Route["retry_policy"]> {
  const words: readonly (readonly [On, string])[] = [
    [On.CONDITION_5XX, "5xx"],
    [On.CONDITION_CONNECT_FAILURE, "connect-failure"],
    [On.CONDITION_REFUSED_STREAM, "refused-stream"],
  ];
  return {
    retry_on: words
      .filter(([condition]) => retry.on.includes(condition))
      .map(([, word]) => word)
      .join(","),
    num_retries: retry.attempts,
    ...(retry.perTryTimeoutMs > 0 && { per_try_timeout_ms: retry.perTryTimeoutMs }),
  };
}

function corsInV1(cors: NonNullable<Route["cors"]>): NonNullable<V1Route["cors"]> {
  return {
    allow_origin: cors.allowOrigins.map(({ kind }) => String(kind.value)),
    allow_methods: cors.allowMethods.join(","),
    allow_headers: cors.allowHeaders.join(","),
    expose_headers: cors.exposeHeaders.join(","),
    ...(cors.maxAgeSeconds > 0 && { max_age: cors.maxAgeSeconds }),
    allow_credentials: cors.allowCredentials,
  };
}
