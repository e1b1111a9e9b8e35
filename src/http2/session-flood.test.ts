/** Floods, by their octets: which budget ends them, and what an honest peer may still do. */
import { describe, expect, test } from "bun:test";
import { Failures } from "../core/failure.ts";
import {
  frame,
  getRequest,
  headers,
  join,
  literals,
  Peer,
  settings,
  uint32,
} from "../testing/http2-peer.ts";
import { FloodClass } from "./flood-guard.ts";
import { FrameType } from "./frame.ts";
import { HeadBlockWriter } from "./head-block-writer.ts";

const writer = new HeadBlockWriter();
const ping = frame(FrameType.ping, 0, 0, "12345678");
const open = headers(1, getRequest, false);
const window = (id: number, by: number): Uint8Array =>
  frame(FrameType.windowUpdate, 0, id, uint32(by));
const reset = (id: number): Uint8Array => frame(FrameType.rstStream, 0, id, uint32(8));

/**
 * Says `part(i)` for i from 0 until the session fails; the i that was too much, or -1. Streams that
 * are opened meanwhile are given up at once.
 */
function flood(peer: Peer, count: number, part: (i: number) => Uint8Array): number {
  const kept = new Set(peer.sink.streams.keys());
  for (let i = 0; i < count; i++) {
    peer.says(part(i));
    if (peer.session.failure !== undefined) return i;
    peer.take();
    for (const [id, stream] of peer.sink.streams) if (!kept.has(id)) stream.release();
    peer.told();
  }
  return -1;
}

describe("a connection ends with ENHANCE_YOUR_CALM under", () => {
  const block = literals(getRequest);
  type Row = readonly [
    name: string,
    failure: keyof typeof Failures,
    first: Uint8Array,
    part: (i: number) => Uint8Array,
    atMost: number,
  ];
  const id = (i: number): number => 2 * i + 3;
  const rows: readonly Row[] = [
    [
      "rapid reset",
      "rapidReset",
      open,
      (i) => join([headers(id(i), getRequest), reset(id(i))]),
      250,
    ],
    [
      "resets that it provokes by WINDOW_UPDATE",
      "provokedReset",
      open,
      (i) => join([headers(id(i), getRequest, false), window(id(i), 0)]),
      150,
    ],
    [
      "resets that it provokes by malformed requests",
      "provokedReset",
      open,
      (i) => headers(id(i), [["a", "b"]]),
      150,
    ],
    [
      "requests over the head's limit",
      "provokedReset",
      open,
      (i) => headers(id(i), [...getRequest, ["expect", "x"]]),
      150,
    ],
    ["SETTINGS", "settingsFlood", open, () => settings(), 100],
    ["PING", "pingFlood", open, () => ping, 600],
    [
      "PING answers that we did not ask for",
      "ignoredFlood",
      open,
      () => frame(FrameType.ping, 1, 0, "12345678"),
      1100,
    ],
    ["PRIORITY", "ignoredFlood", open, () => frame(FrameType.priority, 0, 1, "12345"), 1100],
    ["unknown frames", "ignoredFlood", open, () => frame(0x77, 0, 0, ""), 1100],
    ["GOAWAY", "ignoredFlood", open, () => frame(FrameType.goaway, 0, 0, uint32(0, 0)), 1100],
    [
      "RST_STREAM on streams that are over",
      "ignoredFlood",
      join([open, reset(1)]),
      () => reset(1),
      1100,
    ],
    ["DATA without content", "emptyDataFlood", open, () => frame(FrameType.data, 0, 1, ""), 200],
    [
      "DATA of padding alone",
      "emptyDataFlood",
      open,
      () => frame(FrameType.data, 8, 1, "\x01\x00"),
      200,
    ],
    ["WINDOW_UPDATE", "windowFlood", open, () => window(0, 1), 2100],
    [
      "CONTINUATION without content",
      "continuationFlood",
      frame(FrameType.headers, 0, 1, block),
      () => frame(FrameType.continuation, 0, 1, ""),
      32,
    ],
    [
      "CONTINUATION of one octet",
      "continuationFlood",
      frame(FrameType.headers, 0, 1, block),
      () => frame(FrameType.continuation, 0, 1, "\x82"),
      32,
    ],
    [
      "CONTINUATION of many octets",
      "continuationFlood",
      frame(FrameType.headers, 0, 1, block),
      () => frame(FrameType.continuation, 0, 1, "\x82".repeat(16384)),
      5,
    ],
  ];
  test.each(rows)("%s", (_name, failure, first, part, atMost) => {
    const peer = Peer.ready("server");
    peer.says(first);
    const end = flood(peer, atMost * 2, part);
    expect(end).toBeGreaterThan(0);
    expect(end).toBeLessThan(atMost);
    expect(peer.session.failure).toBe(Failures[failure]);
    expect(peer.hears().at(-1)).toMatch(/^0 goaway \d+ ENHANCE_YOUR_CALM /);
  });

  test("a header bomb: one large entry, then indexes of it", () => {
    const peer = Peer.ready("server");
    const entry = join([
      literals(getRequest),
      new Uint8Array([0x40, 1, 97, 0x7f, 0x80 + 0x31, 0x1e]),
      new Uint8Array(4000).fill(98),
    ]);
    const bomb = join([entry, new Uint8Array(10_000).fill(0xbe)]);
    peer.says(frame(FrameType.headers, 5, 1, bomb));
    expect(peer.session.failure).toBe(Failures.headerBomb);
    expect(peer.told().filter((line) => line.includes("head "))).toEqual([]);
  });
});

test("each class has a counter", () => {
  const peer = Peer.ready("server");
  flood(peer, 1000, () => ping);
  expect(peer.session.floodCounts[FloodClass.ping]).toBe(1);
  expect(peer.session.floodCounts[FloodClass.settings]).toBe(0);
});

test("budgets fill again with time", () => {
  const peer = Peer.ready("server");
  const everyTenMs = (): Uint8Array => {
    peer.session.nowMs += 11;
    return ping;
  };
  expect(flood(peer, 10_000, everyTenMs)).toBe(-1);
});

test("a client whose address flooded us has small budgets; they fill as fast as others", () => {
  const most = (isOffender: boolean, part: (i: number) => Uint8Array): number =>
    flood(Peer.ready("server", { isOffender }), 5_000, part);
  const ofPriority = (): Uint8Array => frame(FrameType.priority, 0, 1, "12345");
  expect([most(false, () => ping), most(true, () => ping)]).toEqual([500, 62]);
  expect([most(false, ofPriority), most(true, ofPriority)]).toEqual([1_000, 125]);
  const peer = Peer.ready("server", { isOffender: true });
  const everyTenMs = (): Uint8Array => {
    peer.session.nowMs += 11;
    return ping;
  };
  expect(flood(peer, 10_000, everyTenMs)).toBe(-1);
});

test("a client that resets every other request of many may go on", () => {
  const peer = Peer.ready("server");
  let id = 1;
  for (let i = 0; i < 5_000; i++, id += 4) {
    peer.says(headers(id, getRequest), reset(id), headers(id + 2, getRequest));
    const stream = peer.sink.streams.get(id + 2)!;
    writer.begin(stream);
    writer.status(200);
    writer.end(true);
    for (const one of peer.sink.streams.values()) one.release();
    peer.sink.streams.clear();
    peer.told();
    peer.take();
  }
  expect(peer.session.failure).toBeUndefined();
});

test("WINDOW_UPDATEs that our own content explains are no flood", () => {
  const peer = Peer.ready("server");
  peer.says(headers(1, getRequest));
  const stream = peer.sink.streams.get(1)!;
  writer.begin(stream);
  writer.status(200);
  writer.end(false);
  const bytes = new Uint8Array(1000);
  for (let i = 0; i < 10_000; i++) {
    stream.write(bytes, 0, 1000);
    peer.take();
    peer.says(window(0, 1000), window(1, 1000));
  }
  expect(peer.session.failure).toBeUndefined();
});

test("streams given up for answers that are not taken: some are forgiven, many end it", () => {
  const peer = Peer.ready("server");
  let given = 0;
  for (; peer.session.failure === undefined && given < 1_000; given++) peer.session.untaken();
  expect(given).toBe(51);
  expect(peer.session.failure).toBe(Failures.untakenFlood);
  expect(peer.hears().at(-1)).toMatch(/^0 goaway \d+ ENHANCE_YOUR_CALM /);
  const slow = Peer.ready("server");
  for (let i = 0; i < 1_000; i++) {
    slow.session.nowMs += 201;
    slow.session.untaken();
  }
  expect(slow.session.failure).toBeUndefined();
});

test("a peer that does not read is not read from", () => {
  const peer = Peer.ready("server");
  for (let i = 0; i < 20_000 && !peer.session.isClogged; i++) {
    peer.session.nowMs += 10;
    peer.says(ping);
  }
  expect(peer.session.failure).toBeUndefined();
  expect(peer.session.isClogged).toBe(true);
  peer.take();
  expect(peer.session.isClogged).toBe(false);
});

test("streams over the limit before our SETTINGS are acknowledged are no fault", () => {
  const peer = new Peer("server");
  peer.says(join([new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings()]));
  for (let id = 1; id < 1000; id += 2) peer.says(headers(id, getRequest));
  expect(peer.session.failure).toBeUndefined();
  expect(peer.session.streamCount).toBe(100);
});
