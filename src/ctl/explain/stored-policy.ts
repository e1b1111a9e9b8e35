/** What the manager holds, read again as it reads it, each part with its own file and line. */
import type { ConfigObject } from "../../api/gen/mesh/v1/config_pb.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { Config } from "../../model/config.ts";

/** Kinds that say where requests go; policy is of many more. */
const routing: ReadonlySet<string> = new Set([
  "RouteRule",
  "DestinationPolicy",
  "DestinationRule",
  "EgressRule",
  "IngressRule",
  "Ingress",
  "ServiceEntry",
  "WorkloadEntry",
  "MeshConfig",
]);

export function policyConfigs(objects: readonly ConfigObject[]): readonly Config[] {
  return objects
    .filter(({ kind }) => !routing.has(kind))
    .flatMap((object) => {
      const { text, namespace, source } = object;
      const options = { file: source?.file ?? "", namespace };
      const { configs } = readDocuments(text, options);
      // A document of many in its file: lines are counted from the file's beginning.
      const above = (source?.line ?? 0) - (configs[0]?.origin.line ?? 0);
      if (above <= 0) return configs;
      return readDocuments("\n".repeat(above) + text, options).configs;
    });
}
