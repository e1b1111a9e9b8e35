/** `?filter=REGEX` of a page: linear in the line, whatever the pattern, since traffic waits. */
import { Fault } from "../../attribute/fault.ts";
import { compileRegex } from "../../expression/standard-function.ts";

/** Whether a line is shown; a text says what is wrong with the pattern. */
export function lineFilter(query: URLSearchParams): ((line: string) => boolean) | string {
  const source = query.get("filter") ?? "";
  if (source === "") return () => true;
  const regex = compileRegex(source);
  if (regex instanceof Fault) return `filter: not a regular expression: ${regex.message}`;
  return (line) => regex.matcher(line).find();
}
