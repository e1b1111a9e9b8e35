/** `mesh ctl explain denial REQUEST_ID`: who refused a request, and what would let it in. */
import { call, type managerAt } from "../client.ts";
import { CtlError, EXIT, usageError } from "../command.ts";
import { denialText } from "../output/denial-text.ts";
import { jsonText } from "../output/document.ts";
import type { CtlIo, Paint } from "../terminal.ts";
import { findDenials } from "./denial.ts";

export interface DenialQuestion {
  readonly ids: readonly string[];
  readonly asJson: boolean;
  readonly io: CtlIo;
  readonly paint: Paint;
}

export async function explainDenial(
  manager: ReturnType<typeof managerAt>,
  { ids, asJson, io, paint }: DenialQuestion,
): Promise<number> {
  const [id, other] = ids;
  if (id === undefined || id === "" || other !== undefined)
    throw usageError("name one request", "the x-request-id of its answer tells its id");
  const { proxies } = await call(manager, manager.status.listProxies({}));
  const found = await findDenials(id, proxies);
  if (asJson) io.stdout(jsonText({ ...found, id }));
  else if (found.denials.length > 0) io.stdout(denialText(found, paint));
  if (found.denials.length > 0) return EXIT.ok;
  if (asJson) return EXIT.failed;
  const lost = found.unreachable.length === 0 ? "" : `; not asked: ${found.unreachable.join(", ")}`;
  throw new CtlError(
    `no proxy remembers that it refused ${id}${lost}`,
    EXIT.failed,
    "each remembers the last thousand refusals; the x-request-id of the answer is the id",
  );
}
