/** What an answer of ConfigService says was changed, for the audit log. */
import type { AppliedObject, ApplyResponse } from "../../api/gen/mesh/v1/config_pb.ts";
import { AppliedObject_Change } from "../../api/gen/mesh/v1/config_pb.ts";
import type { AuditEvent } from "./audit-log.ts";

type Change = Omit<AuditEvent, "who" | "address">;

const ACTIONS: Readonly<Partial<Record<AppliedObject_Change, string>>> = {
  [AppliedObject_Change.CREATED]: "rule created",
  [AppliedObject_Change.UPDATED]: "rule updated",
  [AppliedObject_Change.DELETED]: "rule deleted",
};

/** None of a method that changes nothing, and of objects that stayed as they were. */
export function auditChange(method: string, response: object): readonly Change[] {
  if (method !== "Apply" && method !== "Delete" && method !== "Rollback") return [];
  const { objects } = response as Pick<ApplyResponse, "objects">;
  return objects.flatMap((object) => {
    const action = ACTIONS[object.change];
    return action === undefined ? [] : [changeOf(object, action, method)];
  });
}

function changeOf(object: AppliedObject, action: string, method: string): Change {
  const { kind, namespace, name, revision } = object;
  const detail = `revision ${revision}${method === "Rollback" ? ", by rollback" : ""}`;
  return { action, object: `${kind}/${namespace}/${name}`, detail, allowed: true };
}
