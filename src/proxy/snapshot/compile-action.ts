/** What a route does in the end: forward, redirect or answer. */
import type {
  DirectResponse as DirectResource,
  Redirect as RedirectResource,
  Route as RouteResource,
  WeightedCluster as WeightedResource,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { encode } from "../route/byte-range.ts";
import type { Action } from "../route/route.ts";
import { WeightedClusters } from "../route/weighted-clusters.ts";
import type { ProblemList } from "./problem-list.ts";

/** Visible ASCII: what a request target or a Location may carry. */
export const targetPattern = /^[\x21-\x7e]*$/;
const redirectCodes = [301, 302, 303, 307, 308];
const BODY_BYTES_MAX = 1_048_576;

export function compileAction(
  { action }: RouteResource,
  clusters: ReadonlyMap<string, Cluster>,
  problems: ProblemList,
): Action | undefined {
  switch (action.case) {
    case "forward":
      return compileForward(action.value.clusters, clusters, problems.at("forward"));
    case "redirect":
      return compileRedirect(action.value, problems.at("redirect"));
    case "direct":
      return compileDirect(action.value, problems.at("direct"));
    case undefined:
      problems.add("a route forwards, redirects or answers; this one does nothing");
      return undefined;
  }
}

function compileForward(
  weighted: readonly WeightedResource[],
  clusters: ReadonlyMap<string, Cluster>,
  problems: ProblemList,
): Action | undefined {
  const compiled = compileWeights(weighted, clusters, problems);
  return compiled === undefined ? undefined : { at: "forward", clusters: compiled };
}

/** Undefined: they add up to nothing, which is reported. */
export function compileWeights(
  weighted: readonly WeightedResource[],
  clusters: ReadonlyMap<string, Cluster>,
  problems: ProblemList,
): WeightedClusters | undefined {
  let total = 0;
  const entries: { cluster: Cluster; weight: number }[] = [];
  // One cluster needs no weight.
  const only = weighted.length === 1;
  for (const [i, { cluster: name, weight }] of weighted.entries()) {
    total += only ? 1 : weight;
    const cluster = clusters.get(name);
    if (cluster === undefined)
      problems.at(`clusters[${i}].cluster`).add(`no cluster is named "${name}"`);
    else entries.push({ cluster, weight: only ? 1 : weight });
  }
  if (total === 0) problems.at("clusters").add("the weights of a route add up to more than 0");
  return total === 0 ? undefined : new WeightedClusters(entries);
}

function compileRedirect(
  { code, uri, authority }: RedirectResource,
  problems: ProblemList,
): Action | undefined {
  if (!redirectCodes.includes(code))
    problems.at("code").add(`${code} is not one of ${redirectCodes.join(", ")}`);
  if (!targetPattern.test(uri)) problems.at("uri").add(`"${uri}" cannot be part of a Location`);
  if (!targetPattern.test(authority))
    problems.at("authority").add(`"${authority}" is not a host or host:port`);
  return {
    at: "redirect",
    redirect: {
      status: code,
      uri: uri === "" ? undefined : encode(uri.startsWith("/") ? uri : `/${uri}`),
      authority: authority === "" ? undefined : encode(authority),
    },
  };
}

function compileDirect(
  { status, body }: DirectResource,
  problems: ProblemList,
): Action | undefined {
  if (status < 200 || status > 599)
    problems.at("status").add(`${status} is not a final status (200 to 599)`);
  const bytes = encode(body);
  if (bytes.length > BODY_BYTES_MAX)
    problems.at("body").add(`${bytes.length} bytes are more than ${BODY_BYTES_MAX}`);
  return { at: "direct", direct: { status, body: bytes } };
}
