/** What is held for peers that do not read, as operators see it. */
import { expect, test } from "bun:test";
import { Held } from "../../io/held-bytes.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { unreadBytes } from "./unread-bytes.ts";

const MIB = 1 << 20;

test("metrics tell how much is held, and how many were given up for it", async () => {
  const metrics = new Metrics();
  const account = unreadBytes(metrics, 64 * MIB);
  const slow = [30, 20, 20].map((mib) => {
    const held = new Held(account, { shed() {} });
    held.set(mib * MIB);
    return held;
  });
  await Promise.resolve();
  slow[1]!.set(10 * MIB);
  const shown = renderPrometheus([metrics]);
  expect(shown).toContain(`mesh_unread_bytes ${30 * MIB}\n`);
  expect(shown).toContain("mesh_unread_shed_total 1\n");
});

test("threads share the bound of their process, and none is left without", () => {
  const most = (threads: number): number =>
    unreadBytes(new Metrics(), 64 * MIB, threads).bytesMax / MIB;
  expect([1, 4, 64].map(most)).toEqual([64, 16, 8]);
});
