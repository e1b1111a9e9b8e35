/**
 * bun run conformance DIR [FILE…]: published test vectors in DIR against the code.
 *
 * One line a file: passed, failed, skipped. Below it each failure, and the skips grouped by reason
 * (`--verbose`: each). A file that no suite reads yet is named with the part it belongs to, and
 * counts as one skip. Ends with a failure if anything failed.
 */
import { readdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { suites, unread } from "./conformance/inventory.ts";
import type { Finding, Suite } from "./conformance/suite.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { verbose: { type: "boolean", default: false } },
});
const [folder, ...only] = positionals;
if (folder === undefined) {
  console.error("usage: bun run conformance DIR [FILE…] [--verbose]");
  process.exit(2);
}
const directory = resolve(folder);
const files = readdirSync(directory, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.json(\.gz)?$/.test(entry.name))
  .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
  .filter((file) => only.length === 0 || only.some((part) => file.includes(part)))
  .sort();

const total = { passed: 0, failed: 0, skipped: 0 };
for (const file of files) {
  const readers = suites.filter((suite) => suite.file === file);
  if (readers.length === 0) {
    total.skipped++;
    const why = unread.find(([prefix]) => file.startsWith(prefix))?.[1] ?? "nothing reads it";
    console.log(`${file}: skipped: ${why}`);
  }
  for (const suite of readers) await run(suite);
}
console.log(
  `conformance: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`,
);
process.exit(total.failed === 0 ? 0 : 1);

async function run(suite: Suite): Promise<void> {
  const { passed, failed, skipped } = await suite.run(join(directory, suite.file));
  total.passed += passed;
  total.failed += failed.length;
  total.skipped += skipped.length;
  const name = suite.title === undefined ? suite.file : `${suite.file} (${suite.title})`;
  console.log(`${name}: ${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
  for (const { name, why } of failed) console.log(`  failed: ${name}: ${why}`);
  if (values.verbose)
    for (const { name, why } of skipped) console.log(`  skipped: ${name}: ${why}`);
  else for (const [why, count] of byReason(skipped)) console.log(`  skipped ${count}: ${why}`);
}

function byReason(findings: readonly Finding[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { why } of findings) counts.set(why, (counts.get(why) ?? 0) + 1);
  return counts;
}
