/** Columns aligned by what a terminal shows: wide characters count twice, colour codes nothing. */
import { harmless, type Paint } from "../terminal.ts";

const GAP = "  ";

/** Cells may hold colour; no line ends in blanks. */
export function renderTable(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
  paint: Paint,
): string {
  const cellsOf = (row: readonly string[]): readonly string[] =>
    row.map((cell) => harmless(cell).replace(/[\n\t]/g, " "));
  const lines = rows.map(cellsOf);
  const widths = headers.map((header, i) =>
    Math.max(Bun.stringWidth(header), ...lines.map((row) => Bun.stringWidth(row[i] ?? ""))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell + " ".repeat(widths[i]! - Bun.stringWidth(cell)))
      .join(GAP)
      .trimEnd();
  const head = line(headers);
  return `${[paint.bold(head), ...lines.map(line)].join("\n")}\n`;
}

/** "version=v1,zone=a"; sorted, "-" for none. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return pairs.length === 0 ? "-" : pairs.map(([k, v]) => `${k}=${v}`).join(",");
}

/** "3s", "12m", "5h", "8d". */
export function ageText(sinceMs: number, nowMs: number): string {
  if (sinceMs === 0) return "-";
  const seconds = Math.max(0, Math.floor((nowMs - sinceMs) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
