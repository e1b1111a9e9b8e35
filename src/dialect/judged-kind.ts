/**
 * Kinds of other meshes that this one reads, judges and leaves out: files that hold them can be
 * applied as they are, and a mistake in them shows. Spec table: manager 1.1.
 */
import { judgeTrafficExtension, judgeWasmPlugin } from "./extension.ts";
import { portNumber, workload, workloadLabels } from "./networking/workload-entry.ts";
import { whole } from "./schema/choice.ts";
import { list, mapOf, message, type Reader, type ValueOf } from "./schema/message.ts";
import type { Place } from "./schema/place.ts";
import {
  checkedText,
  duration,
  flag,
  integer,
  nonEmpty,
  oneOf,
  percent,
  text,
} from "./schema/scalar.ts";
import { readTarget, selector, targetFields } from "./security/workload-target.ts";
import { customTag } from "./unused-setting.ts";

export interface JudgedKind {
  readonly kind: string;
  /** "networking.istio.io" */
  readonly group: string;
  readonly judge: (spec: Place, namespace: string) => void;
}

const anything: Reader<true> = () => true;
const count = integer({ least: 0 });
const providers = list(whole({ name: nonEmpty }, "name"));
const mode = oneOf("CLIENT_AND_SERVER", "CLIENT", "SERVER");

const headerName = checkedText((name) =>
  /^[-\w]+$/.test(name) ? undefined : "is not the name of a header",
);

const probe = message({
  ...{ initialDelaySeconds: count, timeoutSeconds: count, periodSeconds: count },
  ...{ successThreshold: count, failureThreshold: count },
  httpGet: whole(
    {
      ...{ path: text, host: text, port: portNumber, scheme: oneOf("HTTP", "HTTPS") },
      httpHeaders: list(message({ name: headerName, value: text })),
    },
    "port",
  ),
  tcpSocket: whole({ host: text, port: portNumber }, "port"),
  exec: whole({ command: list(nonEmpty) }, "command"),
  grpc: whole({ port: portNumber, service: text }),
});

const workloadGroup = message({
  metadata: message({ labels: workloadLabels, annotations: mapOf(text) }),
  template: workload,
  probe,
});

function judgeWorkloadGroup(place: Place): void {
  const group = workloadGroup(place);
  if (group === undefined) return;
  if (!group.has("template")) place.error("must have a template");
  const ways = (["httpGet", "tcpSocket", "exec", "grpc"] as const).filter((way) =>
    group.probe?.has(way),
  );
  if (group.probe !== undefined && ways.length !== 1)
    group.at("probe").error("must have exactly one of httpGet, tcpSocket, exec and grpc");
}

const tagOverride: Reader<Place> = (place) => {
  const override = message({ operation: oneOf("UPSERT", "REMOVE"), value: nonEmpty })(place);
  const removes = override?.operation === "REMOVE";
  if (override !== undefined && removes === override.has("value"))
    place.error(removes ? "must not have a value to REMOVE it" : "must have a value to UPSERT");
  return place;
};

const telemetry = message({
  ...targetFields,
  tracing: list(
    message({
      providers,
      match: message({ mode }),
      randomSamplingPercentage: percent,
      customTags: mapOf(customTag),
      ...{ disableSpanReporting: flag, useRequestIdForTraceSampling: flag, enableIstioTags: flag },
    }),
  ),
  metrics: list(
    message({
      providers,
      overrides: list(
        message({
          match: message({ metric: text, customMetric: nonEmpty, mode }),
          disabled: flag,
          tagOverrides: mapOf(tagOverride),
        }),
      ),
      reportingInterval: duration(),
    }),
  ),
  accessLogging: list(
    message({
      providers,
      match: message({ mode }),
      disabled: flag,
      filter: message({ expression: text }),
    }),
  ),
});

function judgeTelemetry(place: Place, namespace: string): void {
  const read = telemetry(place);
  if (read !== undefined) readTarget(read, { name: "", namespace, annotations: {} });
}

const proxyConfig = message({
  selector,
  concurrency: count,
  environmentVariables: mapOf(text),
  image: message({ imageType: text }),
});

const context = oneOf("ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT");
const places = ["listener", "routeConfiguration", "cluster"] as const;
const match = message({
  context,
  proxy: anything,
  ...{ listener: anything, routeConfiguration: anything, cluster: anything, waypoint: anything },
});

const patchMatch: Reader<Place> = (place) => {
  const read = match(place);
  if (read === undefined) return undefined;
  const isWaypoint = read.context === "WAYPOINT";
  if (read.has("waypoint") && !isWaypoint) place.error("must have the context WAYPOINT");
  for (const other of isWaypoint ? places : [])
    if (read.has(other)) read.at(other).error("has no place in the context WAYPOINT");
  return place;
};

const envoyFilter = message({
  workloadSelector: message({ labels: mapOf(text) }),
  targetRefs: targetFields.targetRefs,
  priority: integer(),
  configPatches: list(message({ applyTo: nonEmpty, match: patchMatch, patch: anything })),
});

function judgeEnvoyFilter(place: Place): void {
  const filter: ValueOf<typeof envoyFilter> | undefined = envoyFilter(place);
  if (filter?.has("workloadSelector") && filter.has("targetRefs"))
    filter.at("targetRefs").error("must not stand beside workloadSelector");
}

export const judgedKinds: readonly JudgedKind[] = [
  { kind: "WorkloadGroup", group: "networking.istio.io", judge: judgeWorkloadGroup },
  { kind: "EnvoyFilter", group: "networking.istio.io", judge: judgeEnvoyFilter },
  {
    kind: "ProxyConfig",
    group: "networking.istio.io",
    judge: (place) => void proxyConfig(place),
  },
  { kind: "Telemetry", group: "telemetry.istio.io", judge: judgeTelemetry },
  { kind: "WasmPlugin", group: "extensions.istio.io", judge: judgeWasmPlugin },
  { kind: "TrafficExtension", group: "extensions.istio.io", judge: judgeTrafficExtension },
];
