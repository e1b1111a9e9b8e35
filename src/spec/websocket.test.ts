/** WebSockets of the package ws, client and server each a process of its own, through sidecars. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { websocketCases } from "./fixture/websocket-case.ts";
import { type Meeting, startMeeting } from "./mesh.ts";
import { buildFixtures, installed, run } from "./peer.ts";
import { Stage } from "./process.ts";

const { missing, skipped } = installed("node");
const stage = new Stage();
let meeting: Meeting;

beforeAll(async () => {
  if (missing !== "") return;
  await buildFixtures(stage, "websocket-client", "websocket-server");
  const command = ["node", join(stage.directory, "websocket-server.mjs")];
  meeting = await startMeeting(stage, [{ service: "chat", protocol: "http", command }]);
}, 60_000);

afterAll(() => stage.close());

test.skipIf(skipped).each([...websocketCases])(
  "%s",
  async (name) => {
    expect(missing).toBe("");
    const client = join(stage.directory, "websocket-client.mjs");
    const url = `ws://127.0.0.1:${meeting.caller.outbound}/`;
    const { code, out, err } = await run(["node", client, url, "chat:8000", name], {}, 30_000);
    expect({ code, said: out + err }).toEqual({ code: 0, said: "" });
  },
  40_000,
);
