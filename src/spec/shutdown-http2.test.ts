/** HTTP/2 callers notice nothing when a sidecar that they reach stops. Debian: nghttp2-client. */
import { afterAll, expect, test } from "bun:test";
import { requestsTotal, startPair } from "./mesh.ts";
import { installed, run } from "./peer.ts";
import { Stage, until } from "./process.ts";

const { missing, skipped } = installed("h2load");
const stage = new Stage();
afterAll(() => stage.close());

test.skipIf(skipped)(
  "SIGTERM of one of two sidecars under h2load: none of 30,000 requests fails",
  async () => {
    expect(missing).toBe("");
    const { callee, caller } = await startPair(stage, "web", ["--protocol", "http"]);
    const before = await requestsTotal(callee[0]);
    const load = run([
      ...["h2load", "-n", "30000", "-c", "10", "-m", "10"],
      ...[`--connect-to=127.0.0.1:${caller.outbound}`, "http://web:8000/"],
    ]);
    await until("the load", async () => (await requestsTotal(callee[0])) > before + 1_000);
    callee[0].running.child.kill("SIGTERM");
    expect(await callee[0].running.child.exited).toBe(0);
    expect(await requestsTotal(callee[1])).toBeLessThan(30_000);
    const { out } = await load;
    expect(out).toContain("30000 succeeded, 0 failed, 0 errored, 0 timeout");
    expect(out).toContain("30000 2xx, 0 3xx, 0 4xx, 0 5xx");
  },
  90_000,
);
