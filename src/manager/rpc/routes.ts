/** Every service of the manager's API. */
import type { ConnectRouter } from "@connectrpc/connect";
import { ConfigService, StatusService } from "../../api/gen/mesh/v1/config_pb.ts";
import { DiscoveryService, RegistryService } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { IdentityAdminService, IdentityService } from "../../api/gen/mesh/v1/identity_pb.ts";
import type { Access } from "../access/access.ts";
import { auditRpc } from "../audit/audit-rpc.ts";
import type { Manager } from "../manager.ts";
import { configService } from "./config-service.ts";
import { discoveryService, registryService } from "./discovery-service.ts";
import { identityAdminService } from "./identity-admin-service.ts";
import { identityService } from "./identity-service.ts";
import { statusService } from "./status-service.ts";

/** Without `access` nobody is asked who he is: for a transport in memory, and its tests. */
export function apiRoutes(manager: Manager, access?: Access): (router: ConnectRouter) => void {
  return (router) => {
    router.service(ConfigService, configService(manager));
    router.service(StatusService, statusService(manager));
    router.service(DiscoveryService, discoveryService(manager, access));
    router.service(RegistryService, registryService(manager, access));
    const { identity } = manager.options;
    if (identity === undefined) return;
    router.service(IdentityService, identityService(identity));
    router.service(IdentityAdminService, {
      ...identityAdminService(identity),
      ...(access !== undefined && auditRpc(access.audit)),
    });
  };
}
