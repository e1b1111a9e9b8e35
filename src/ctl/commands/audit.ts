/** `mesh ctl audit`: who changed what, and who was refused what. */
import type { AuditEntry } from "../../api/gen/mesh/v1/identity_pb.ts";
import { call, managerAt } from "../client.ts";
import { defineCtlCommand, EXIT, usageError } from "../command.ts";
import { managerFlags } from "../flag.ts";
import { isoTime, jsonText } from "../output/document.ts";
import { renderTable } from "../output/table.ts";
import { harmless } from "../terminal.ts";

const LIMIT_MAX = 10_000;

export const auditCommand = defineCtlCommand({
  args: {
    limit: { type: "string", valueHint: "N", description: "The newest N (100)" },
    refused: { type: "boolean", description: "Only what was refused" },
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    ...managerFlags,
  },
  details:
    "Newest first: changes of rules, certificates and tokens, and calls that were refused, with\n" +
    "the reason, which the caller was not told. The same refusal over and over is shown once,\n" +
    "and then how often it came again.",
  examples: [
    ["mesh ctl audit", "the last hundred"],
    ["mesh ctl audit --refused", "who tried what he may not"],
  ],
  async run(args, { io, paint }) {
    const limit = Number(args.limit ?? "100");
    if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX)
      throw usageError(`--limit is a number from 1 to ${LIMIT_MAX}`);
    const manager = managerAt(args, io);
    const { entries } = await call(manager, manager.identity.listAudit({ limit }));
    const shown = entries.filter(({ allowed }) => !(args.refused && allowed));
    if (args.output === "json") io.stdout(jsonText({ items: shown.map(entryJson) }));
    else if (shown.length === 0) io.stderr("Nothing was changed or refused.\n");
    else {
      const rows = shown.map((entry) => [
        isoTime(entry.timeMs),
        harmless(entry.who) || "-",
        harmless(entry.address) || "-",
        (entry.allowed ? paint.green : paint.red)(harmless(entry.action)),
        harmless(entry.object) || "-",
        harmless(entry.detail) || "-",
      ]);
      io.stdout(renderTable(["TIME", "WHO", "FROM", "ACTION", "OBJECT", "DETAIL"], rows, paint));
    }
    return EXIT.ok;
  },
});

function entryJson({ timeMs, who, address, action, object, detail, allowed }: AuditEntry) {
  return { time: isoTime(timeMs), who, address, action, object, detail, allowed };
}
