/**
 * Requests that are reset by what is received with them: nobody hears of them, whatever resets
 * them; and whoever is not reset is heard as ever.
 */
import { describe, expect, test } from "bun:test";
import { expectLinear } from "../testing/growth.ts";
import { frame, getRequest, headers, join, Peer, settings, uint32 } from "../testing/http2-peer.ts";
import { Flag, FrameType, windowAtStart, windowMax } from "./frame.ts";
import { HeadArena } from "./head-arena.ts";

const get = (id: number): Uint8Array => headers(id, getRequest);
const post = (id: number): Uint8Array => headers(id, getRequest, false);
const reset = (id: number): Uint8Array => frame(FrameType.rstStream, 0, id, uint32(8));
const data = (id: number, flags = 0): Uint8Array => frame(FrameType.data, flags, id, "x");
const window = (id: number, by: number): Uint8Array =>
  frame(FrameType.windowUpdate, 0, id, uint32(by));
const priority = (id: number, payload: Uint8Array): Uint8Array =>
  frame(FrameType.priority, 0, id, payload);
/** PRIORITY that depends on stream 1. */
const onItself = join([uint32(1), new Uint8Array(1)]);
const ping = frame(FrameType.ping, 0, 0, "12345678");
const trailers = (id: number): Uint8Array => headers(id, [["a", "b"]]);

type Row = readonly [name: string, read: readonly Uint8Array[], heads: readonly number[]];
/** Which requests are heard of where all of it arrives in one read. */
// biome-ignore format: a table reads as a table
const rows: readonly Row[] = [
  ["a reset behind its request",          [get(1), reset(1)], []],
  ["behind other requests",               [get(1), get(3), get(5), reset(3)], [1, 5]],
  ["all of them, and then all resets",    [get(1), get(3), reset(1), reset(3)], []],
  ["behind a PING",                       [get(1), ping, reset(1)], []],
  ["behind its own content",              [post(1), data(1), reset(1)], []],
  ["behind its own trailers",             [post(1), data(1), trailers(1), reset(1)], []],
  ["a window of 0 more",                  [get(1), window(1, 0)], []],
  ["a window too wide by one",            [get(1), window(1, windowMax - windowAtStart + 1)], []],
  ["the widest window",                   [get(1), window(1, windowMax - windowAtStart)], [1]],
  ["a usual window",                      [get(1), window(1, 65_535)], [1]],
  ["a window of the connection",          [get(1), window(0, 1_000)], [1]],
  ["PRIORITY of 4 octets",                [get(1), priority(1, new Uint8Array(4))], []],
  ["PRIORITY on itself",                  [get(1), priority(1, onItself)], []],
  ["PRIORITY",                            [get(1), priority(1, new Uint8Array(5))], [1]],
  ["PRIORITY of 4 octets, of another",    [get(1), get(3), priority(3, new Uint8Array(4))], [1]],
  ["content behind the end",              [get(1), data(1)], []],
  ["content behind the end, later",       [get(1), post(3), get(5), data(3), data(5)], [1, 3]],
  ["content behind trailers",             [post(1), trailers(1), data(1)], []],
  ["content",                             [post(1), data(1), data(1, Flag.endStream)], [1]],
  ["a reset of a stream that was before", [get(1), get(3), reset(3), get(5), get(7)], [1, 5, 7]],
  ["a wide window, once it is narrow",    [get(1), settings([4, 0]), window(1, windowMax)], [1]],
];

describe("in one read", () => {
  test.each(rows)("%s", (_name, read, heads) => {
    const peer = Peer.ready("server");
    peer.says(join(read));
    expect(headsOf(peer.told())).toEqual([...heads]);
    expect(peer.session.failure).toBeUndefined();
    expect(peer.session.streamCount).toBe(heads.length);
  });

  test.each(rows)("%s: the peer hears what it hears of the same octet by octet", (_name, read) => {
    const [whole, single] = [Peer.ready("server"), Peer.ready("server")];
    whole.says(join(read));
    for (const octet of join(read)) single.says(new Uint8Array([octet]));
    expect(whole.hears()).toEqual(single.hears());
  });
});

test("of a request that nobody heard of, its reset is told, and its content is given back", () => {
  const peer = Peer.ready("server");
  peer.says(join([post(1), frame(FrameType.data, 0, 1, "x".repeat(16_000)), reset(1)]));
  expect(peer.told()).toEqual(["1 reset downstreamReset CANCEL"]);
  for (let id = 3; id < 200; id += 2) {
    peer.says(join([post(id), frame(FrameType.data, 0, id, "x".repeat(16_000)), reset(id)]));
  }
  expect(peer.session.failure).toBeUndefined();
});

test("the end of the connection ends whoever was waiting for its reset", () => {
  const peer = Peer.ready("server");
  peer.says(join([get(1), frame(FrameType.data, 0, 0, "x"), reset(1)]));
  expect(peer.session.failure).toBeDefined();
  expect(peer.session.streamCount).toBe(0);
});

test("no look is farther than 32 KiB, and there is another before its end", () => {
  const peer = Peer.ready("server");
  const content = (id: number) => frame(FrameType.data, 0, id, "x".repeat(9_000));
  const [first, second, third] = [1, 3, 5].map((id) => join([post(id), content(id)]));
  peer.says(join([first!, content(1), second!, third!, reset(3), reset(1), reset(5)]));
  // The reset of 1 is farther away; that of 3 was seen by the look from 3 on.
  expect(headsOf(peer.told())).toEqual([1]);
});

test("another session that looks meanwhile dooms nobody here", () => {
  const arena = new HeadArena();
  const [outer, inner] = [Peer.ready("server", { arena }), Peer.ready("server", { arena })];
  const { sink } = outer;
  const heard = sink.headArrived.bind(sink);
  sink.headArrived = (stream, head) => {
    heard(stream, head);
    if (stream.id === 1) inner.says(join([get(1), get(3), reset(3)]));
  };
  outer.says(join([get(1), get(3), get(5)]));
  expect(headsOf(outer.told())).toEqual([1, 3, 5]);
});

test("a look takes time in proportion to what is looked at", () => {
  const { doomed } = new HeadArena();
  const read = join(Array.from({ length: 80_000 }, () => window(1, 1)));
  doomed.begin(windowAtStart);
  expectLinear((frames) => doomed.look(read, 0, frames * 13), 20_000);
});

function headsOf(lines: readonly string[]): number[] {
  return lines.flatMap((line) => {
    const [id, what] = line.split(" ");
    return what === "head" ? [Number(id)] : [];
  });
}
