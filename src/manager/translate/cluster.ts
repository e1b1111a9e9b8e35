/**
 * Clusters and their endpoints: one cluster for each service port and each set of labels that a
 * route names. Spec table: manager 1.7.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Cluster,
  Cluster_Discovery,
  Cluster_Protocol,
  ClusterSchema,
  type EndpointSet,
  EndpointSetSchema,
  LoadBalancer,
  type UpstreamTls,
  UpstreamTlsSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ClientTlsSettings } from "../../model/client-tls.ts";
import type { CircuitBreaker, LoadBalancing } from "../../model/destination-policy.ts";
import type { ServiceRef } from "../../model/route-rule.ts";
import type { Service, ServiceInstance, ServicePort } from "../../model/service.ts";
import { isHttpPort, originatesTls } from "./catalog.ts";
import { splitAddress } from "./egress-proxy.ts";
import { equalLabels, formatLabels, isSubset, sortedLabels } from "./labels.ts";
import { originOf } from "./origin.ts";
import type { KeyedPolicy, RuleSet } from "./rule-set.ts";
import { isSource, type NodeView } from "./source.ts";
import { trafficOf } from "./traffic.ts";

/** One port of one service, narrowed by labels: what a cluster stands for. */
export interface ClusterKey extends ServiceRef {
  readonly port: number;
  /** "istio-egress:80": the egress proxy that stands for the instances; absent: they do. */
  readonly via?: string;
  /** Set: for connections that are passed on as they are, beside the cluster for requests. */
  readonly tunnel?: true;
  /** Set: endpoints are called without an identity, whoever they are. */
  readonly plain?: true;
}

const BALANCERS: Readonly<Record<LoadBalancing, LoadBalancer>> = {
  ROUND_ROBIN: LoadBalancer.ROUND_ROBIN,
  LEAST_CONN: LoadBalancer.LEAST_REQUEST,
  RANDOM: LoadBalancer.RANDOM,
};

/** "outbound|9080|version=v1|reviews.default.svc.cluster.local", or "tunnel|443||httpbin.org" */
export function clusterName(key: ClusterKey): string {
  const kind = key.tunnel ? "tunnel" : "outbound";
  return `${kind}|${key.port}|${formatLabels(key.labels)}|${key.host}`;
}

export function clusterOf(...of: Parameters<typeof makeCluster>): Cluster {
  return makeCluster(...of).cluster;
}

/** A cluster, and its key with what is known of it now. */
export function makeCluster(
  key: ClusterKey,
  service: Service | undefined,
  rules: RuleSet,
  node: NodeView,
): { readonly key: ClusterKey; readonly cluster: Cluster } {
  const found = rules.policies
    .get(key.host)
    ?.find(
      ({ policy: { destination, source } }) =>
        equalLabels(destination.labels, key.labels) && isSource(source, node),
    );
  const traffic = trafficOf(key, rules, node);
  const port = service?.ports.find(({ number }) => number === key.port);
  const tls = key.via === undefined && !key.tunnel ? tlsOf(service, port, traffic?.tls) : undefined;
  const mode = traffic?.tls?.mode;
  const cluster = create(ClusterSchema, {
    name: clusterName(key),
    service: key.host,
    port: key.port,
    labels: sortedLabels(key.labels),
    discovery: key.via === undefined ? discoveryOf(service) : Cluster_Discovery.DNS,
    protocol: protocolOf(key, service, port),
    ...(tls && { tls }),
    requiresIdentity: mode === "ISTIO_MUTUAL" && key.via === undefined,
    viaEgressProxy: key.via !== undefined,
    connectTimeoutMs: rules.settings.connectTimeoutMs,
    ...(traffic === undefined
      ? policyInit(found)
      : { ...traffic.cluster, origins: [originOf(traffic.config)] }),
  });
  // Who says how callers secure their connections says it for all of them.
  const isPlain = mode === undefined ? !rules.settings.identity.autoMtls : mode !== "ISTIO_MUTUAL";
  return { key: isPlain ? { ...key, plain: true } : key, cluster };
}

/** What a DestinationPolicy says; where there is a DestinationRule, that decides instead. */
function policyInit(found: KeyedPolicy | undefined): MessageInitShape<typeof ClusterSchema> {
  return {
    loadBalancer: loadBalancerOf(found?.policy.loadBalancing),
    ...limitsOf(found?.policy.circuitBreaker),
    origins: found === undefined ? [] : [originOf(found.config)],
  };
}

/** What is passed on as it is and has TLS of its own gets no second one. */
function tlsOf(
  service: Service | undefined,
  port: ServicePort | undefined,
  said: ClientTlsSettings | undefined,
): UpstreamTls | undefined {
  const originates = port !== undefined && originatesTls(service, port);
  if (!originates && (port?.protocol === "HTTPS" || port?.protocol === "TLS")) return undefined;
  if (said === undefined) return originates ? create(UpstreamTlsSchema) : undefined;
  if (said.mode === "DISABLE" || said.mode === "ISTIO_MUTUAL") return undefined;
  const { mode: _, subjectAltNames, ...rest } = said;
  return create(UpstreamTlsSchema, { ...rest, subjectAltNames: [...subjectAltNames] });
}

function protocolOf(
  key: ClusterKey,
  service: Service | undefined,
  port: ServicePort | undefined,
): Cluster_Protocol {
  if (key.via !== undefined || port === undefined) return Cluster_Protocol.HTTP;
  if (port.protocol === "GRPC" || port.protocol === "HTTP2") return Cluster_Protocol.HTTP2;
  if (originatesTls(service, port) && !key.tunnel) return Cluster_Protocol.HTTP;
  return isHttpPort(port) ? Cluster_Protocol.HTTP : Cluster_Protocol.TCP;
}

/** The healthy instances that a cluster means. None at all is a fact too: 503 with UH. */
export function endpointSetOf(key: ClusterKey, instances: readonly ServiceInstance[]): EndpointSet {
  if (key.via !== undefined)
    return create(EndpointSetSchema, {
      cluster: clusterName(key),
      endpoints: [{ ...splitAddress(key.via), weight: 1 }],
    });
  return create(EndpointSetSchema, {
    cluster: clusterName(key),
    endpoints: instances
      .filter(
        (instance) =>
          instance.healthy &&
          instance.servicePort === key.port &&
          isSubset(key.labels, instance.labels),
      )
      .map(({ address, port, labels, weight, workload, locality, ...rest }) => ({
        address,
        port,
        labels: sortedLabels(labels),
        weight: weight || 1,
        workload,
        locality,
        meshTransport: rest.meshTransport === true,
        identity: key.plain ? "" : (rest.identity ?? ""),
      })),
  });
}

/** What nobody asks for is the proxy's to choose, in whatever era the rest was written. */
function loadBalancerOf(loadBalancing: LoadBalancing | undefined): LoadBalancer {
  return loadBalancing === undefined ? LoadBalancer.UNSPECIFIED : BALANCERS[loadBalancing];
}

function discoveryOf(service: Service | undefined): Cluster_Discovery {
  switch (service?.resolution) {
    case "DNS":
      return Cluster_Discovery.DNS;
    case "NONE":
      return Cluster_Discovery.ORIGINAL;
    case "STATIC":
    case undefined:
      return Cluster_Discovery.ENDPOINTS;
  }
}

function limitsOf(breaker: CircuitBreaker | undefined) {
  if (breaker === undefined) return {};
  const { maxConnections, httpMaxPendingRequests, httpMaxRequests } = breaker;
  const { httpMaxRequestsPerConnection, httpMaxRetries } = breaker;
  return {
    circuitBreaker: {
      ...(maxConnections !== undefined && { maxConnections }),
      ...(httpMaxPendingRequests !== undefined && { maxPendingRequests: httpMaxPendingRequests }),
      ...(httpMaxRequests !== undefined && { maxRequests: httpMaxRequests }),
      ...(httpMaxRequestsPerConnection !== undefined && {
        maxRequestsPerConnection: httpMaxRequestsPerConnection,
      }),
      ...(httpMaxRetries !== undefined && { maxRetries: httpMaxRetries }),
    },
    outlier: {
      consecutiveErrors: breaker.httpConsecutiveErrors,
      intervalMs: breaker.httpDetectionIntervalMs,
      baseEjectionMs: breaker.sleepWindowMs,
      maxEjectionPercent: breaker.httpMaxEjectionPercent,
    },
  };
}
