/** Configurations of a running data plane that bring names with them. */
import { afterEach, expect, test } from "bun:test";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { systemRandom } from "../core/random.ts";
import { FakeUpstream } from "../testing/fake-upstream.ts";
import { config } from "../testing/snapshot-sample.ts";
import { DataPlane } from "./data-plane.ts";
import { parseProxyFlags } from "./flags.ts";

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(): Promise<{ plane: DataPlane; ask: () => Promise<string> }> {
  const parsed = parseProxyFlags(["--outbound", "127.0.0.1:0"]);
  if (parsed.at !== "flags") throw new Error(JSON.stringify(parsed));
  const log = new Log("test", { level: "error" });
  const { flags } = parsed;
  const plane = new DataPlane({ flags, clock: systemClock, random: systemRandom, log });
  closers.push(() => plane.close());
  await plane.listen(undefined);
  const url = `http://127.0.0.1:${plane.address("outbound")!.port}/`;
  return { plane, ask: async () => await (await fetch(url)).text() };
}

/** Everything goes to what a name stands for; without one it is answered with the version. */
function configOf(version: string, to?: { readonly address: string; readonly port: number }) {
  const direct = { status: 200, body: version };
  const action = to === undefined ? { direct } : { forward: { clusters: [{ cluster: version }] } };
  return config({
    version,
    virtualHosts: [{ name: "h", domains: ["*"], routes: [{ name: "r", ...action }] }],
    ...(to !== undefined && {
      clusters: [{ name: version, discovery: "DISCOVERY_DNS" }],
      endpointSets: [{ cluster: version, endpoints: [{ ...to }] }],
    }),
  });
}

function service(): number {
  const made = new FakeUpstream({ script: (_, reply) => reply.respond(200, "by name") });
  closers.push(() => made.close());
  return made.port;
}

test("the first request to a new name finds where it leads", async () => {
  const { plane, ask } = await start();
  expect(plane.apply(configOf("first"))).toEqual([]);
  const applied = plane.apply(configOf("named", { address: "localhost", port: service() }));
  expect(applied).toBeInstanceOf(Promise);
  // The former one serves meanwhile.
  expect(await ask()).toMatch(/first|by name/);
  expect(await applied).toEqual([]);
  expect(await ask()).toBe("by name");
});

test("what comes meanwhile is in force after it, and problems are its own", async () => {
  const { plane, ask } = await start();
  await plane.apply(configOf("first"));
  const named = plane.apply(configOf("named", { address: "localhost", port: service() }));
  const bad = plane.apply(configOf("bad", { address: "", port: 0 }));
  const last = plane.apply(configOf("last"));
  expect(await named).toEqual([]);
  expect((await bad).length).toBeGreaterThan(0);
  expect(await last).toEqual([]);
  expect(await ask()).toBe("last");
  expect(plane.apply(configOf("again"))).toEqual([]);
});

test("a plane that is closed meanwhile publishes nothing", async () => {
  const { plane } = await start();
  await plane.apply(configOf("first"));
  const applied = plane.apply(configOf("named", { address: "localhost", port: 1 }));
  await plane.close();
  expect(await applied).toEqual([]);
  expect(plane.snapshot?.version).toBe("first");
});
