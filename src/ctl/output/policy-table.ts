/** Rules of policy as a proxy's admin port tells of them: where each runs, and what it did. */
import { isRecord } from "../../core/record.ts";
import type { Table } from "./config-table.ts";

/** `told`: what the page answered; undefined: it is none. */
export function policyTables(told: unknown): readonly Table[] | undefined {
  if (!isRecord(told) || !Array.isArray(told.rules)) return undefined;
  const rules = told.rules.filter(isRecord).filter(({ concerns }) => concerns !== false);
  const rows = rules.map((rule) => {
    const { figures } = rule;
    const counted = isRecord(figures) ? figures : {};
    const failed = isRecord(counted.failed) ? Object.values(counted.failed) : [];
    return [
      text(rule.name).replace(/\.rule\.([^.]*)$/, ".$1"),
      text(rule.runsAt),
      text(counted.matched),
      text(counted.denied),
      text(counted.reported),
      String(failed.reduce<number>((sum, count) => sum + Number(count), 0)),
      text(rule.match) || "always",
      text(rule.origin),
    ];
  });
  const headers = ["RULE", "RUNS AT", "MATCHED", "DENIED", "TOLD", "FAILED", "MATCH", "ORIGIN"];
  const faults = rules.flatMap(({ name, figures }) => {
    const fault = isRecord(figures) ? text(figures.lastFault) : "";
    return fault === "" ? [] : [[text(name), fault]];
  });
  const problems = Array.isArray(told.problems) ? told.problems.map((one) => [text(one)]) : [];
  return [
    { title: "Policy", headers, rows },
    ...(faults.length === 0
      ? []
      : [{ title: "Last faults", headers: ["RULE", "FAULT"], rows: faults }]),
    ...(problems.length === 0
      ? []
      : [{ title: "Not in force", headers: ["PROBLEM"], rows: problems }]),
  ];
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
