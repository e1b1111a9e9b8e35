/** What names of others in access rules are made with: trust domains, and who may be asked. */
import type { TrustBundle } from "../../api/gen/mesh/v1/identity_pb.ts";
import type { MeshSettings } from "../../model/mesh-settings.ts";
import type { AccessNames } from "./access.ts";

export function accessNamesOf(
  _settings: MeshSettings,
  trust: TrustBundle | undefined,
): AccessNames {
  const { trustDomain = "", trustDomainAliases = [] } = trust ?? {};
  const trustDomains = trustDomain === "" ? [] : [trustDomain, ...trustDomainAliases];
  return { trustDomains, authorizers: [] };
}
