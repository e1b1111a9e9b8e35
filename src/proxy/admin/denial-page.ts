/** The page that shows who was refused of late, by whom, and what would have had to be so. */
import { json, text, wantsJson } from "../../api/admin-page.ts";
import type { DenialView } from "../access/denial-view.ts";
import type { Page } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";

export const denialPage: Page = {
  path: "/denials",
  method: "GET",
  about: "who was refused of late, and by which rule (?id=REQUEST_ID, ?format=json)",
  answer: denials,
};

async function denials(view: ProxyView, query: URLSearchParams): Promise<Response> {
  const found = await view.denials(query.get("id") ?? "");
  if (wantsJson(query)) return json(found);
  if (found.length === 0) return text("nobody was refused");
  return text(found.flatMap(denialLines).join("\n"));
}

function denialLines(record: DenialView): string[] {
  const { timeMs, kind, status, by, rule, place, reason, id } = record;
  const who = record.principal === "" ? record.sourceAddress : record.principal;
  const what =
    record.method === "" ? `port ${record.port}` : `${record.method} ${record.host}${record.path}`;
  const source = place === "" ? "" : ` (${place})`;
  const outcome = status === 0 ? "closed" : String(status);
  const named = rule === "" ? by : `${by} ${rule}`;
  const time = new Date(timeMs).toISOString();
  const line = `${time} ${id || "-"} ${outcome} ${kind}: ${who} ▸ ${what}`;
  return [`${line}: ${named}${source}: ${reason}`, ...record.remedies.map((one) => `  ${one}`)];
}
