/**
 * HTTP/2 callers notice nothing when a sidecar that they reach stops, or are told why their calls
 * end. Debian: nghttp2-client.
 */
import { afterAll, expect, test } from "bun:test";
import { once } from "node:events";
import { constants } from "node:http2";
import { asGrpc, grpcCall } from "../testing/grpc-set-up.ts";
import { answerOf, Http2Client, Http2Service } from "../testing/http2-runtime.ts";
import {
  managerPorts,
  managerUrl,
  requestsTotal,
  startManager,
  startPair,
  startSidecar,
  untilKnown,
} from "./mesh.ts";
import { installed, run } from "./peer.ts";
import { Stage, until } from "./process.ts";

const { missing, skipped } = installed("h2load");
const stage = new Stage();
/** Each has a manager of its own. */
const stages = { caller: new Stage(), callee: new Stage() };
afterAll(async () => {
  for (const one of [stage, stages.caller, stages.callee]) await one.close();
});

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

/** A service that begins an answer unless asked not to, and ends none, behind two sidecars. */
async function startEndless(stage: Stage) {
  const service = await Http2Service.start((stream, headers) => {
    if (headers["x-silent"] !== undefined) return;
    stream.respond({ ":status": 200, ...(headers.te === "trailers" && asGrpc) });
    stream.write("part");
  });
  const ports = managerPorts();
  await startManager(stage, ports);
  const flags = ["--manager", managerUrl(ports), "--drain-seconds", "0.5"];
  const callee = await startSidecar(stage, [
    ...[...flags, "--service", "endless.default", "--protocol", "grpc"],
    ...["--app-port", String(service.port), "--service-port", "8000"],
  ]);
  const caller = await startSidecar(stage, [...flags, "--service", "client.default"]);
  await untilKnown(caller, "endless");
  return { service, caller, callee };
}

test.each(["caller", "callee"] as const)(
  "calls that outlast the drain time of the %s's sidecar end with UNAVAILABLE, not as a success",
  async (which) => {
    const { service, ...sidecars } = await startEndless(stages[which]);
    const client = new Http2Client(sidecars.caller.outbound);
    const open = (headers: Readonly<Record<string, string>>) =>
      client.session.request({ ":authority": "endless:8000", ...headers });
    const [begun, silent, plain] = [
      open(grpcCall),
      open({ ...grpcCall, "x-silent": "1" }),
      open({ ":method": "POST", ":path": "/" }),
    ];
    plain.on("error", () => {});
    const cut = new Promise((resolve) => plain.once("close", resolve));
    const answers = Promise.all([answerOf(begun), answerOf(silent)]);
    await Promise.all([once(begun, "data"), once(plain, "data")]);
    await until("the silent call to arrive", () => service.seen.length === 3);
    const { child } = sidecars[which].running;
    child.kill("SIGTERM");
    const [ended, refused] = await answers;
    expect(ended.trailers).toMatchObject({
      "grpc-status": "14",
      "grpc-message": "proxy-stopping",
    });
    expect(refused.headers["grpc-status"]).toBe("14");
    await cut;
    expect(plain.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    expect(await child.exited).toBe(0);
    client.close();
    service.close();
  },
  60_000,
);
