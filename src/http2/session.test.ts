/** What a session promises, as transcripts of frames. */
import { expect, test } from "bun:test";
import type { HeadBlockWriter } from "./head-block-writer.ts";
import type { Session } from "./session.ts";
import { defaultSessionLimits } from "./session-limits.ts";
import type { SessionSink } from "./session-sink.ts";

export type Contract = [Session, SessionSink, HeadBlockWriter];

test("limits are those of Envoy's edge guide", () => {
  expect(defaultSessionLimits.streamsMax).toBe(100);
});
