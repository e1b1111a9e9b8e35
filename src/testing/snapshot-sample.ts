/** For tests: request heads and configurations, written as short as they are meant. */
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type ProxyConfig, ProxyConfigSchema } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem } from "../core/problem.ts";
import { seededRandom } from "../core/random.ts";
import { MessageHead } from "../http/message-head.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import type { ResolveName } from "../proxy/cluster/name-members.ts";
import { type CompileParts, compileSnapshot } from "../proxy/snapshot/compile.ts";
import { Snapshot } from "../proxy/snapshot/snapshot.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** A request's scanned head: `head("GET /a", "host: b", …)`; Host is added to HTTP/1.1. */
export function head(line: string, ...fields: readonly string[]): MessageHead {
  const version = / HTTP\/1\.\d$/.test(line) ? "" : " HTTP/1.1";
  const hosted = version === "" || fields.some((field) => /^host:/i.test(field));
  const host = hosted ? [] : ["Host: reviews"];
  const text = [`${line}${version}`, ...host, ...fields, "", ""].join("\r\n");
  const scanned = new MessageHead();
  const bytes = new TextEncoder().encode(text);
  if (scanRequestHead(bytes, 0, bytes.length, scanned) !== bytes.length)
    throw new Error(`not a request: ${text} (${scanned.failure?.reason}, ${scanned.detail})`);
  return scanned;
}

/** Names as in proxy_config.proto, or in camel case. */
export function config(json: JsonValue): ProxyConfig {
  return fromJson(ProxyConfigSchema, json);
}

export interface SampleParts extends Partial<CompileParts> {
  readonly resolve?: ResolveName;
}

export function parts(some: SampleParts = {}): CompileParts {
  return {
    clock: new VirtualClock(),
    random: seededRandom(1),
    metrics: new Metrics(),
    resolve: () => Promise.resolve([]),
    source: { service: "productpage", version: "v1" },
    former: undefined,
    ...some,
  };
}

/** Compiled and activated, as if published; throws what is wrong with it. */
export function published(json: JsonValue, some: SampleParts = {}): Snapshot {
  const snapshot = compileSnapshot(config(json), parts(some));
  if (!(snapshot instanceof Snapshot)) throw new Error(snapshot.map(formatProblem).join("\n"));
  snapshot.activate(some.former);
  return snapshot;
}

/** What is reported, as operators read it; empty: nothing. */
export function problemsOf(json: JsonValue, some: SampleParts = {}): string[] {
  const result = compileSnapshot(config(json), parts(some));
  return result instanceof Snapshot ? [] : result.map(formatProblem);
}
