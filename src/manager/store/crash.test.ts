/** The process may end at any moment; what it acknowledged is there when it comes back. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { crashManager } from "../../bench/manager-crash.ts";
import { seededRandom } from "../../core/random.ts";

test("every acknowledged write survives kill -9, and no commit is torn", async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`seed ${seed}`);
  const { acknowledged, broken } = await crashManager({
    command: [process.execPath, join(import.meta.dir, "..", "..", "main.ts")],
    rounds: 2,
    random: seededRandom(seed),
  });
  expect(broken).toEqual([]);
  expect(acknowledged).toBeGreaterThan(0);
}, 20_000);
