/** One of several managers that start at once on one store: says whose root it found or made. */
import { KeySeal } from "../manager/identity/key-seal.ts";
import { openIdentity } from "./identity-set-up.ts";

function main(path: string): void {
  const { identity, close } = openIdentity({ path, seal: KeySeal.createdIn(`${path}.key`) });
  const [root = ""] = identity.authority.roots;
  process.stdout.write(`${Bun.hash(root)} ${identity.authority.roots.length}\n`);
  close();
}

main(process.argv[2] ?? "");
