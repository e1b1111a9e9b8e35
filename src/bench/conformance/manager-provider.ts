/** Extension providers of a MeshConfig, by what their messages are called in the originals. */
import { isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";

const fields: Readonly<Record<string, string>> = {
  EnvoyExternalAuthorizationHttpProvider: "envoyExtAuthzHttp",
  EnvoyExternalAuthorizationGrpcProvider: "envoyExtAuthzGrpc",
  ZipkinTracingProvider: "zipkin",
  LightstepTracingProvider: "lightstep",
  DatadogTracingProvider: "datadog",
  SkyWalkingTracingProvider: "skywalking",
  OpenCensusAgentTracingProvider: "opencensus",
  OpenTelemetryTracingProvider: "opentelemetry",
  EnvoyHttpGrpcV3LogProvider: "envoyHttpAls",
  EnvoyTcpGrpcV3LogProvider: "envoyTcpAls",
  EnvoyOpenTelemetryLogProvider: "envoyOtelAls",
  StackdriverProvider: "stackdriver",
  PrometheusMetricsProvider: "prometheus",
  EnvoyFileAccessLogProvider: "envoyFileAccessLog",
};

const prefix = "MeshConfig_ExtensionProvider_";

/** Undefined: it is the kind of no provider. */
export function providerIsFine(kind: string, object: unknown): boolean | undefined {
  const name = kind.startsWith(prefix) ? kind.slice(prefix.length) : "";
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (field === undefined) return undefined;
  const extensionProviders = [{ name: "case", [field]: object ?? {} }];
  const document = JSON.stringify({ kind: "MeshConfig", extensionProviders });
  const { problems } = readDocuments(document, { file: "case.yaml", namespace: "default" });
  return !problems.some(isError);
}
