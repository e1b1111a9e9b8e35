/** RbacConfig and ClusterRbacConfig of rbac.istio.io: where roles are asked for at all. */
import type { RbacConfig } from "../../model/service-role.ts";
import { list, message } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { nonEmpty, oneOf } from "../schema/scalar.ts";
import type { Holder } from "./workload-target.ts";

const target = message({ services: list(nonEmpty), namespaces: list(nonEmpty) });

const written = message({
  mode: oneOf("OFF", "ON", "ON_WITH_INCLUSION", "ON_WITH_EXCLUSION"),
  inclusion: target,
  exclusion: target,
  enforcementMode: oneOf("ENFORCED", "PERMISSIVE"),
});

/** Undefined after the problems have been reported. */
export function readRbacConfig(place: Place, { name }: Holder): RbacConfig | undefined {
  const config = written(place.orMap());
  if (config === undefined) return undefined;
  if (name !== "default") place.error('must be named "default": there is one');
  const { mode = "OFF" } = config;
  const field = mode === "ON_WITH_EXCLUSION" ? "exclusion" : "inclusion";
  const isNeeded = mode === "ON_WITH_EXCLUSION" || mode === "ON_WITH_INCLUSION";
  if (isNeeded && !config.has(field)) place.error(`must have an ${field} for ${mode}`);
  const { services = [], namespaces = [] } = (isNeeded ? config[field] : undefined) ?? {};
  return { mode, services, namespaces, dryRun: config.enforcementMode === "PERMISSIVE" };
}
