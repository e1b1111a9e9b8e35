/** What `-f` names: files, directories (with all below them) and stdin, as documents to send. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { CtlError, usageError } from "./command.ts";
import type { CtlIo } from "./terminal.ts";

export interface RuleFile {
  /** As the operator named it; "stdin" for `-`. */
  readonly file: string;
  readonly text: string;
}

/** Far beyond any rule file; a mistaken `-f` of something huge ends here. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;
const RULE_NAME = /\.(ya?ml|json)$/i;

/** Without a name, stdin is read, as Istio 0.1 did; unless a person sits there. */
export async function readRuleFiles(
  names: readonly string[],
  io: CtlIo,
): Promise<readonly RuleFile[]> {
  if (names.length === 0 && io.stdinIsTty)
    throw usageError("nothing to read", "name rules with -f FILE, -f DIR or -f - for stdin");
  const wanted = names.length === 0 ? ["-"] : names;
  const files: RuleFile[] = [];
  for (const name of wanted) {
    if (name === "-") files.push({ file: "stdin", text: await io.readStdin() });
    else files.push(...readPath(name));
  }
  return files;
}

function readPath(path: string): readonly RuleFile[] {
  try {
    const stat = statSync(path);
    if (!stat.isDirectory()) return [readOne(path, stat.size)];
    const names = readdirSync(path, { recursive: true, encoding: "utf8" });
    const inside = names.filter((name) => RULE_NAME.test(name) && !/(^|\/)\./.test(name)).sort();
    if (inside.length === 0) throw new CtlError(`${path} holds no .yaml, .yml or .json file`);
    return inside.map((name) => readOne(join(path, name), statSync(join(path, name)).size));
  } catch (error) {
    if (error instanceof CtlError) throw error;
    throw new CtlError(`cannot read ${path}: ${reason(error)}`);
  }
}

function readOne(path: string, bytes: number): RuleFile {
  if (bytes > FILE_BYTES_MAX)
    throw new CtlError(`${path} is ${Math.round(bytes / 1e6)} MB; rules are smaller than 16 MB`);
  return { file: path, text: readFileSync(path, "utf8") };
}

function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "permission denied";
  return error instanceof Error ? error.message : String(error);
}
