/** The openssl of this machine, as a judge of what we write. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Judgement {
  readonly code: number | null;
  /** Of both outputs. */
  readonly text: string;
}

/** Runs `openssl ARGS`, where a key of `files` among them is the path of a file with that text. */
export function openssl(
  args: readonly string[],
  files: Readonly<Record<string, string>> = {},
): Judgement {
  const directory = mkdtempSync(join(tmpdir(), "mesh-openssl-"));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    const words = args.map((word) => (word in files ? join(directory, word) : word));
    const { status, stdout, stderr } = spawnSync("openssl", words, { encoding: "utf8" });
    return { code: status, text: `${stdout}${stderr}` };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
