/** What breaks a stream, what breaks the connection, and with which code (RFC 9113 5.4, 6). */
import { describe, expect, test } from "bun:test";
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
import { Flag, FrameType, preface } from "./frame.ts";

const request = headers(1, getRequest);
const open = headers(1, getRequest, false);
const data = (text: string, flags = 0, id = 1): Uint8Array =>
  frame(FrameType.data, flags, id, text);
const window = (id: number, by: number): Uint8Array =>
  frame(FrameType.windowUpdate, 0, id, uint32(by));
const reset = (id: number): Uint8Array => frame(FrameType.rstStream, 0, id, uint32(8));
const priority = (id: number, on: number): Uint8Array =>
  frame(FrameType.priority, 0, id, join([uint32(on), new Uint8Array(1)]));

describe("the connection ends with", () => {
  const block = literals(getRequest);
  const rows: readonly (readonly [code: string, name: string, frames: readonly Uint8Array[]])[] = [
    ["PROTOCOL_ERROR", "DATA on no stream", [data("x", 0, 0)]],
    ["PROTOCOL_ERROR", "DATA on an idle stream", [data("x")]],
    ["PROTOCOL_ERROR", "HEADERS on no stream", [headers(0, getRequest)]],
    ["PROTOCOL_ERROR", "HEADERS on an even stream", [headers(2, getRequest)]],
    [
      "PROTOCOL_ERROR",
      "HEADERS on a stream that was passed over",
      [headers(5, getRequest), headers(3, getRequest)],
    ],
    [
      "PROTOCOL_ERROR",
      "CONTINUATION out of the blue",
      [frame(FrameType.continuation, 4, 1, block)],
    ],
    [
      "PROTOCOL_ERROR",
      "a frame within a field block",
      [frame(FrameType.headers, 0, 1, block), data("x")],
    ],
    [
      "PROTOCOL_ERROR",
      "PING within a field block",
      [frame(FrameType.headers, 0, 1, block), frame(FrameType.ping, 0, 0, "12345678")],
    ],
    [
      "PROTOCOL_ERROR",
      "a frame of an unknown type within a field block",
      [frame(FrameType.headers, 0, 1, block), frame(0xf3, 0, 0, "abc")],
    ],
    [
      "PROTOCOL_ERROR",
      "a field block on two streams",
      [frame(FrameType.headers, 0, 1, block), frame(FrameType.continuation, 4, 3, "")],
    ],
    [
      "PROTOCOL_ERROR",
      "PUSH_PROMISE",
      [frame(FrameType.pushPromise, 4, 1, join([uint32(2), block]))],
    ],
    ["PROTOCOL_ERROR", "SETTINGS on a stream", [frame(FrameType.settings, 0, 1, "")]],
    ["PROTOCOL_ERROR", "ENABLE_PUSH 2", [settings([2, 2])]],
    ["PROTOCOL_ERROR", "a small MAX_FRAME_SIZE", [settings([5, 16383])]],
    ["PROTOCOL_ERROR", "a large MAX_FRAME_SIZE", [settings([5, 16777216])]],
    ["PROTOCOL_ERROR", "ENABLE_CONNECT_PROTOCOL taken back", [settings([8, 1]), settings([8, 0])]],
    ["PROTOCOL_ERROR", "PING on a stream", [frame(FrameType.ping, 0, 1, "12345678")]],
    ["PROTOCOL_ERROR", "GOAWAY on a stream", [frame(FrameType.goaway, 0, 1, uint32(0, 0))]],
    ["PROTOCOL_ERROR", "WINDOW_UPDATE of 0", [window(0, 0)]],
    ["PROTOCOL_ERROR", "WINDOW_UPDATE on an idle stream", [window(1, 1)]],
    ["PROTOCOL_ERROR", "RST_STREAM on an idle stream", [reset(1)]],
    ["PROTOCOL_ERROR", "RST_STREAM on no stream", [reset(0)]],
    ["PROTOCOL_ERROR", "PRIORITY on no stream", [priority(0, 1)]],
    ["PROTOCOL_ERROR", "an idle stream that depends on itself", [priority(1, 1)]],
    [
      "PROTOCOL_ERROR",
      "more padding than payload in DATA",
      [open, frame(FrameType.data, Flag.padded, 1, "\x05abcd")],
    ],
    [
      "PROTOCOL_ERROR",
      "more padding than payload in HEADERS",
      [frame(FrameType.headers, 13, 1, "\x05abcd")],
    ],
    ["FRAME_SIZE_ERROR", "a frame too large", [frame(FrameType.ping, 0, 0, "x".repeat(16385))]],
    ["FRAME_SIZE_ERROR", "DATA too large", [open, data("x".repeat(16385))]],
    [
      "FRAME_SIZE_ERROR",
      "padded DATA of nothing",
      [open, frame(FrameType.data, Flag.padded, 1, "")],
    ],
    ["FRAME_SIZE_ERROR", "PING of seven octets", [frame(FrameType.ping, 0, 0, "1234567")]],
    ["FRAME_SIZE_ERROR", "SETTINGS of seven octets", [frame(FrameType.settings, 0, 0, "1234567")]],
    [
      "FRAME_SIZE_ERROR",
      "SETTINGS acknowledged with more",
      [frame(FrameType.settings, 1, 0, "123456")],
    ],
    [
      "FRAME_SIZE_ERROR",
      "WINDOW_UPDATE of three octets",
      [frame(FrameType.windowUpdate, 0, 0, "123")],
    ],
    [
      "FRAME_SIZE_ERROR",
      "RST_STREAM of three octets",
      [open, frame(FrameType.rstStream, 0, 1, "123")],
    ],
    ["FRAME_SIZE_ERROR", "GOAWAY of seven octets", [frame(FrameType.goaway, 0, 0, "1234567")]],
    ["FLOW_CONTROL_ERROR", "a window above 2^31-1", [window(0, 0x7fffffff)]],
    ["FLOW_CONTROL_ERROR", "INITIAL_WINDOW_SIZE above 2^31-1", [settings([4, 0x80000000])]],
    [
      "FLOW_CONTROL_ERROR",
      "INITIAL_WINDOW_SIZE that widens a stream too far",
      [open, window(1, 0x7fff0000), settings([4, 0x7fffffff])],
    ],
    ["STREAM_CLOSED", "HEADERS after RST_STREAM", [open, reset(1), request]],
    ["COMPRESSION_ERROR", "index 0", [frame(FrameType.headers, 5, 1, "\x80")]],
    ["COMPRESSION_ERROR", "an index that is not there", [frame(FrameType.headers, 5, 1, "\xbe")]],
    [
      "COMPRESSION_ERROR",
      "a name that is not there",
      [frame(FrameType.headers, 5, 1, "\x7f\x00\x01a")],
    ],
    [
      "COMPRESSION_ERROR",
      "a string that is cut off",
      [frame(FrameType.headers, 5, 1, "\x00\x05a")],
    ],
    [
      "COMPRESSION_ERROR",
      "an integer without end",
      [frame(FrameType.headers, 5, 1, "\xff\x80\x80\x80\x80\x80\x00")],
    ],
    [
      "COMPRESSION_ERROR",
      "padding of a Huffman string that is not of ones",
      [frame(FrameType.headers, 5, 1, "\x00\x81\x00\x00")],
    ],
    [
      "COMPRESSION_ERROR",
      "padding of a Huffman string of a whole octet",
      [frame(FrameType.headers, 5, 1, "\x00\x82\x1f\xff\x00")],
    ],
    [
      "COMPRESSION_ERROR",
      "padding of a Huffman string of eight ones",
      [frame(FrameType.headers, 5, 1, "\x00\x82\xf8\xff\x00")],
    ],
    [
      "COMPRESSION_ERROR",
      "EOS in a Huffman string",
      [frame(FrameType.headers, 5, 1, "\x00\x84\xff\xff\xff\xff\x00")],
    ],
    [
      "COMPRESSION_ERROR",
      "a table above the limit",
      [frame(FrameType.headers, 5, 1, "\x3f\xe2\x1f\x82")],
    ],
    [
      "COMPRESSION_ERROR",
      "a size update after a field",
      [frame(FrameType.headers, 5, 1, "\x82\x20")],
    ],
    [
      "COMPRESSION_ERROR",
      "three size updates",
      [frame(FrameType.headers, 5, 1, "\x20\x20\x20\x82")],
    ],
  ];
  test.each(rows)("%s: %s", (code, _name, frames) => {
    const peer = Peer.ready("server");
    peer.says(...frames);
    expect(peer.told().at(-1)).toMatch(/^failed /);
    expect(peer.session.failure).toBeDefined();
    expect(peer.hears().at(-1)).toMatch(new RegExp(`^0 goaway \\d+ ${code} `));
    peer.says(frame(FrameType.ping, 0, 0, "12345678"));
    expect(peer.hears()).toEqual([]);
  });

  test("PROTOCOL_ERROR: another preface, or another first frame", () => {
    for (const bytes of [
      preface.map((octet, i) => (i === 20 ? 0 : octet)),
      join([preface, request]),
    ]) {
      const peer = new Peer("server");
      peer.says(bytes);
      expect(peer.hears().at(-1)).toMatch(/^0 goaway 0 PROTOCOL_ERROR /);
    }
  });
});

describe("the stream ends with", () => {
  const rows: readonly (readonly [code: string, name: string, frames: readonly Uint8Array[]])[] = [
    ["PROTOCOL_ERROR", "a malformed request", [headers(1, [...getRequest, ["A", "b"]])]],
    ["PROTOCOL_ERROR", "WINDOW_UPDATE of 0", [open, window(1, 0)]],
    ["PROTOCOL_ERROR", "fields in the middle", [open, headers(1, [["a", "b"]], false)]],
    ["PROTOCOL_ERROR", "a pseudo-field in trailers", [open, headers(1, [[":path", "b"]])]],
    [
      "PROTOCOL_ERROR",
      "a connection's field in trailers",
      [open, headers(1, [["connection", "b"]])],
    ],
    [
      "PROTOCOL_ERROR",
      "less content than said",
      [headers(1, [...getRequest, ["content-length", "2"]], false), data("x", 1)],
    ],
    [
      "PROTOCOL_ERROR",
      "more content than said",
      [headers(1, [...getRequest, ["content-length", "2"]], false), data("xxx")],
    ],
    [
      "PROTOCOL_ERROR",
      "less content than said, then trailers",
      [headers(1, [...getRequest, ["content-length", "2"]], false), headers(1, [["a", "b"]])],
    ],
    ["PROTOCOL_ERROR", "a stream that depends on itself", [open, priority(1, 1)]],
    [
      "PROTOCOL_ERROR",
      "HEADERS that depend on their stream",
      [frame(FrameType.headers, 37, 1, join([uint32(1), new Uint8Array(1), literals(getRequest)]))],
    ],
    [
      "FRAME_SIZE_ERROR",
      "PRIORITY of four octets",
      [open, frame(FrameType.priority, 0, 1, "1234")],
    ],
    ["FLOW_CONTROL_ERROR", "a window above 2^31-1", [open, window(1, 0x7fffffff)]],
    [
      "FLOW_CONTROL_ERROR",
      "more than its window",
      [open, ...Array.from({ length: 5 }, () => data("x".repeat(16384)))],
    ],
    ["STREAM_CLOSED", "DATA after its end", [request, data("x")]],
    ["STREAM_CLOSED", "HEADERS after its end", [request, request]],
    ["STREAM_CLOSED", "DATA after RST_STREAM", [open, reset(1), data("x")]],
  ];
  test.each(rows)("%s: %s", (code, _name, frames) => {
    const peer = Peer.ready("server");
    peer.says(...frames);
    expect(peer.hears()).toContain(`1 rstStream ${code}`);
    peer.told();
    // Its table and its windows are as before: another request goes through.
    peer.says(headers(3, getRequest));
    expect(peer.told()).toEqual(["3 head GET / HTTP/1.1|host: a|", "3 end"]);
    // What was under way when we reset the stream is nobody's fault.
    if (code !== "STREAM_CLOSED") {
      peer.says(data("late"), headers(1, [["late", "1"]]));
      expect(peer.told()).toEqual([]);
      expect(peer.session.failure).toBeUndefined();
    }
  });
});

test("frames of unknown types and PRIORITY are ignored", () => {
  const peer = Peer.ready("server");
  peer.says(frame(0x42, 255, 7, "x"), priority(9, 1), priority(9, 3));
  expect([peer.told(), peer.hears()]).toEqual([[], []]);
});

test("frames of unknown types on no stream are told, and answered by nobody", () => {
  for (const role of ["server", "client"] as const) {
    const peer = Peer.ready(role);
    peer.says(frame(0x0a, 0, 0, ""), frame(0xf3, 255, 0, "abc"), frame(0xff, 0, 0, "\xff"));
    expect(peer.told()).toEqual(["extension 10 ", "extension 243 abc", "extension 255 \xff"]);
    expect(peer.hears()).toEqual([]);
  }
});

test("a frame of a type of one's own, octet by octet", () => {
  const peer = Peer.ready("client");
  peer.session.extend(0xf3, new Uint8Array([97, 98, 99]));
  expect([...peer.take()]).toEqual([0, 0, 3, 0xf3, 0, 0, 0, 0, 0, 97, 98, 99]);
  peer.session.extend(0xf3, new Uint8Array(0x123));
  expect([...peer.take().subarray(0, 9)]).toEqual([0, 1, 0x23, 0xf3, 0, 0, 0, 0, 0]);
  peer.says(window(0, 0));
  peer.take();
  peer.session.extend(0xf3, new Uint8Array(1));
  expect(peer.take().length).toBe(0);
});

test("a request that is sound and not for us is answered with the status of its failure", () => {
  const peer = Peer.ready("server");
  peer.says(headers(1, [...getRequest, ["expect", "x"]], false), data("late"));
  expect(peer.told()).toEqual(["refused unknownExpectation: not 100-continue"]);
  expect(peer.hears()).toEqual([
    "1 headers :status: 417|x-mesh-reason: unknown-expectation end",
    "1 rstStream NO_ERROR",
  ]);
  peer.says(
    headers(3, [
      ...getRequest,
      ["a", "b".repeat(8000)],
      ...Array.from({ length: 100 }, () => ["a", "b"] as const),
    ]),
  );
  expect(peer.hears()).toEqual([
    "3 headers :status: 431|x-mesh-reason: header-fields-too-large end",
  ]);
  expect(peer.session.streamCount).toBe(0);
});

test("streams over the limit are refused, and count until they are released", () => {
  const peer = Peer.ready("server");
  for (let i = 0; i < 100; i++) peer.says(headers(2 * i + 1, getRequest, false));
  peer.says(reset(1));
  peer.told();
  peer.says(headers(201, getRequest));
  expect(peer.told()).toEqual(["refused streamLimit: too many streams at once"]);
  expect(peer.hears()).toEqual(["201 rstStream REFUSED_STREAM"]);
  peer.sink.streams.get(1)!.release();
  peer.says(headers(203, getRequest));
  expect(peer.told()).toEqual(["203 head GET / HTTP/1.1|host: a|", "203 end"]);
});
