/** ListAudit, to be put among the methods of IdentityAdminService. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { IdentityAdminService } from "../../api/gen/mesh/v1/identity_pb.ts";
import type { AuditLog } from "./audit-log.ts";

const LIMIT = 100;
const LIMIT_MAX = 10_000;

export function auditRpc(
  audit: AuditLog,
): Pick<ServiceImpl<typeof IdentityAdminService>, "listAudit"> {
  return {
    listAudit({ limit }) {
      const records = audit.list(Math.min(limit || LIMIT, LIMIT_MAX));
      return {
        entries: records.map((record) => ({ ...record, timeMs: BigInt(record.timeMs) })),
      };
    },
  };
}
