/** Two forms of a document as a unified diff, coloured as diffs are. */
import type { Paint } from "../terminal.ts";

/** Empty where nothing differs. A missing side is an empty text. */
export async function unifiedDiff(
  name: string,
  before: string,
  after: string,
  paint: Paint,
): Promise<string> {
  const { createTwoFilesPatch } = await import("diff");
  const [from, to] = [endLine(before), endLine(after)];
  if (from === to) return "";
  const patch = createTwoFilesPatch(
    before === "" ? "/dev/null" : `a/${name}`,
    after === "" ? "/dev/null" : `b/${name}`,
    from,
    to,
    "",
    "",
    { context: 3 },
  );
  const lines = patch.split("\n").filter((line) => !/^=+$/.test(line));
  return lines.map((line) => paintLine(line.trimEnd(), paint)).join("\n");
}

function paintLine(line: string, paint: Paint): string {
  if (line.startsWith("+++") || line.startsWith("---")) return paint.bold(line);
  if (line.startsWith("+")) return paint.green(line);
  if (line.startsWith("-")) return paint.red(line);
  if (line.startsWith("@@")) return paint.cyan(line);
  return line;
}

function endLine(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
