/** How this program starts itself again, and how a person would type it. */
import { basename, join, relative } from "node:path";

/** ["/…/dist/mesh"] in the executable, ["bun", "/…/src/main.ts"] from source. */
export function selfCommand(): readonly string[] {
  return Bun.isStandaloneExecutable
    ? [process.execPath]
    : [process.execPath, join(import.meta.dir, "..", "..", "main.ts")];
}

/** "mesh" where the shell would find it, else a path from here. */
export function typedCommand(self: readonly string[]): string {
  const program = self[0] ?? "mesh";
  if (self.length > 1) return ["bun", ...self.slice(1).map(pathFromHere)].join(" ");
  const name = basename(program);
  return Bun.which(name) === program ? name : pathFromHere(program);
}

function pathFromHere(path: string): string {
  const near = relative(process.cwd(), path);
  if (near.startsWith("..")) return path;
  return near.includes("/") ? near : `./${near}`;
}
