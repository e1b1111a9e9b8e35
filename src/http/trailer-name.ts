/**
 * Which fields may come after the content (RFC 9110 6.5.1): none that decides framing, routing,
 * identity or how the content is read.
 */
import { FieldId, fieldIdCount } from "./field-id.ts";

const allowedKnown: ReadonlySet<FieldId> = new Set([
  FieldId.grpcStatus,
  FieldId.date,
  FieldId.server,
  FieldId.xMeshReason,
]);
const forbidden = new Uint8Array(fieldIdCount);
for (let id = 1; id < fieldIdCount; id++) {
  forbidden[id] = allowedKnown.has(id as FieldId) ? 0 : 1;
}

/** Whether a trailer with this name is left out. Names that we do not read may pass. */
export function isForbiddenTrailer(id: FieldId): boolean {
  return forbidden[id] === 1;
}
