/** Windows, the order of what is sent, and the end of a connection (RFC 9113 5.2, 6.8). */
import { describe, expect, test } from "bun:test";
import { octets } from "../testing/http1-stream.ts";
import {
  frame,
  getRequest,
  headers,
  hello,
  join,
  literals,
  Peer,
  readFrames,
  settings,
  uint32,
} from "../testing/http2-peer.ts";
import { ErrorCode } from "./error-code.ts";
import { Flag, FrameType } from "./frame.ts";
import { HeadBlockWriter } from "./head-block-writer.ts";

const writer = new HeadBlockWriter();
const request = headers(1, getRequest);
const open = headers(1, getRequest, false);
const data = (text: string, flags = 0, id = 1): Uint8Array =>
  frame(FrameType.data, flags, id, text);
const window = (id: number, by: number): Uint8Array =>
  frame(FrameType.windowUpdate, 0, id, uint32(by));
const reset = (id: number): Uint8Array => frame(FrameType.rstStream, 0, id, uint32(8));

test("padding is counted, and given back at once", () => {
  const limits = { ...Peer.ready("server").session.limits, connectionWindowBytes: 65535 };
  const peer = Peer.ready("server", { limits });
  peer.says(open);
  for (let i = 0; i < 130; i++)
    peer.says(frame(FrameType.data, Flag.padded, 1, `\xffx${"\0".repeat(255)}`));
  const updates = peer.hears();
  expect(updates.filter((one) => one.startsWith("0 windowUpdate"))).toHaveLength(1);
  expect(updates.filter((one) => one.startsWith("1 windowUpdate"))).toHaveLength(1);
});

describe("the peer's window opens", () => {
  const chunk = "x".repeat(16384);

  test("only as content is consumed, in large steps", () => {
    const peer = Peer.ready("server");
    peer.says(open, data(chunk), data(chunk));
    expect(peer.hears()).toEqual([]);
    const stream = peer.sink.streams.get(1)!;
    stream.consumed(16384);
    expect(peer.hears()).toEqual([]);
    stream.consumed(16384);
    expect(peer.hears()).toEqual(["1 windowUpdate 32768"]);
    stream.consumed(16384);
    expect(peer.hears()).toEqual([]);
  });

  test("for the connection also where a stream is given up", () => {
    const limits = { ...Peer.ready("server").session.limits, connectionWindowBytes: 65535 };
    const peer = Peer.ready("server", { limits });
    for (let id = 1; id < 41; id += 2) {
      peer.says(headers(id, getRequest, false), data(chunk, 0, id));
      const stream = peer.sink.streams.get(id)!;
      if (id % 4 === 1) stream.reset(ErrorCode.cancel);
      if (id % 8 === 3) peer.says(reset(id));
      stream.release();
    }
    expect(peer.session.failure).toBeUndefined();
    expect(peer.hears().filter((one) => one.startsWith("0 windowUpdate"))).toHaveLength(10);
  });

  test("and content beyond the connection's ends it", () => {
    const limits = { ...Peer.ready("server").session.limits, connectionWindowBytes: 65535 };
    const peer = Peer.ready("server", { limits });
    for (let id = 1; id < 9; id += 2) peer.says(headers(id, getRequest, false), data(chunk, 0, id));
    expect(peer.hears().at(-1)).toBe("0 goaway 7 FLOW_CONTROL_ERROR more content than the window");
  });
});

describe("our content keeps to", () => {
  const answer = (peer: Peer, id = 1): ReturnType<typeof peer.sink.streams.get> => {
    const stream = peer.sink.streams.get(id)!;
    writer.begin(stream);
    writer.status(200);
    writer.end(false);
    return stream;
  };
  const body = new Uint8Array(200_000).fill(120);
  const sizes = (peer: Peer): number[] =>
    peer
      .hears()
      .filter((one) => one.includes(" data "))
      .map((one) => one.split(" ")[2]!.length);

  test("the stream's window", () => {
    const peer = Peer.ready("server");
    peer.says(settings([4, 10]), request);
    peer.session.nowMs = 7;
    const stream = answer(peer)!;
    expect(stream.write(body, 0, 25)).toBe(10);
    expect(stream.write(body, 10, 15)).toBe(0);
    expect(stream.blockedSinceMs).toBe(7);
    expect(sizes(peer)).toEqual([10]);
    peer.told();
    peer.says(window(1, 4));
    expect(peer.told()).toEqual(["1 writable"]);
    expect(stream.write(body, 10, 15)).toBe(4);
    peer.says(settings([4, 5]), window(1, 5), window(1, 1));
    expect(peer.told()).toEqual(["1 writable"]);
    expect(stream.write(body, 14, 11)).toBe(1);
    peer.says(settings([4, 100]));
    expect(peer.told()).toEqual(["1 writable"]);
    expect(stream.write(body, 15, 10)).toBe(10);
    expect(stream.blockedSinceMs).toBe(0);
    expect(sizes(peer)).toEqual([4, 1, 10]);
  });

  test("the connection's window, shared in turn", () => {
    const peer = Peer.ready("server");
    peer.says(settings([4, 1_000_000]), request, headers(3, getRequest));
    const [one, three] = [answer(peer)!, answer(peer, 3)!];
    expect(one.write(body, 0, 100_000)).toBe(65535);
    expect(three.write(body, 0, 100_000)).toBe(0);
    peer.told();
    peer.says(window(0, 10));
    expect(peer.told()).toEqual(["1 writable", "3 writable"]);
    expect(sizes(peer)).toEqual([16384, 16384, 16384, 16383]);
  });

  test("the bounds of the output, and goes on as it is taken", () => {
    const peer = Peer.ready("server");
    peer.says(settings([4, 1_000_000]), window(0, 1_000_000), request);
    const stream = answer(peer)!;
    expect(stream.write(body, 0, 200_000)).toBeLessThanOrEqual(128 * 1024);
    expect(stream.blockedSinceMs).toBe(0);
    expect(peer.session.isClogged).toBe(false);
    peer.told();
    peer.take();
    expect(peer.told()).toEqual(["1 writable"]);
  });
});

test("a stream may bring any amount as long as it is consumed", () => {
  const peer = Peer.ready("server");
  peer.says(open);
  const stream = peer.sink.streams.get(1)!;
  for (let i = 0; i < 200; i++) {
    peer.says(data("x".repeat(16_384)));
    stream.consumed(16_384);
  }
  expect(peer.session.failure).toBeUndefined();
  expect(stream.isReset).toBe(false);
  expect(peer.hears().filter((one) => one.startsWith("0 windowUpdate"))).toHaveLength(6);
});

test("writes of streams in turn stay apart, and an end finds its frame while that is here", () => {
  const peer = Peer.ready("server");
  peer.says(settings([4, 1_000_000]), window(0, 1_000_000), open, headers(3, getRequest));
  peer.take();
  const [one, three] = [1, 3].map((id) => {
    const stream = peer.sink.streams.get(id)!;
    writer.begin(stream);
    writer.status(200);
    writer.end(false);
    return stream;
  });
  const write = (stream: typeof one, text: string): void => {
    stream!.write(octets(text), 0, text.length);
  };
  for (const text of ["a", "b"]) {
    write(one, text);
    write(three, text);
  }
  // Part of the output leaves, the rest moves as more comes.
  const { output, outputStart } = peer.session;
  const left = output.slice(outputStart, outputStart + 25);
  peer.session.outputTaken(25);
  write(three, "c".repeat(40_000));
  one!.end();
  write(three, "d");
  three!.end();
  const rest = peer.take();
  const frames = readFrames(join([left, rest]));
  expect(
    frames.map(({ type, flags, streamId, payload }) => [type, flags, streamId, payload.length]),
  ).toEqual([
    [1, 4, 1, 1],
    [1, 4, 3, 1],
    [0, 0, 1, 1],
    [0, 0, 3, 1],
    [0, 1, 1, 1],
    [0, 0, 3, 16_384],
    [0, 0, 3, 16_384],
    [0, 1, 3, 7_234],
  ]);
});

test("writes of one turn are one frame, and the end is on it", () => {
  const peer = Peer.ready("server");
  peer.says(request);
  const stream = peer.sink.streams.get(1)!;
  writer.begin(stream);
  writer.status(200);
  writer.end(false);
  for (const text of ["a", "b", "c"]) stream.write(new TextEncoder().encode(text), 0, 1);
  stream.end();
  expect(peer.hears().slice(1)).toEqual(["1 headers :status: 200", "1 data abc end"].slice(1));
  expect(stream.write(new Uint8Array(1), 0, 1)).toBe(-1);
});

test("a head that is longer than a frame goes on in CONTINUATION", () => {
  const peer = Peer.ready("server");
  peer.says(request);
  const stream = peer.sink.streams.get(1)!;
  writer.begin(stream);
  writer.status(200);
  writer.add(new TextEncoder().encode(`a: ${"b".repeat(40_000)}\r\n`));
  writer.end(true);
  const client = Peer.ready("client");
  client.session.open("x");
  const opened = client.session;
  expect(opened.streamCount).toBe(1);
  client.says(peer.take());
  expect(client.told()).toEqual([`1 head HTTP/1.1 200 OK|a: ${"b".repeat(40_000)}|`, "1 end"]);
});

describe("going away", () => {
  test("a server first says so, then with which stream it ends", () => {
    const peer = Peer.ready("server");
    peer.says(open);
    peer.session.drain();
    const [goaway, ping] = peer.hears();
    expect(goaway).toBe("0 goaway 2147483647 NO_ERROR");
    peer.says(headers(3, getRequest));
    peer.told();
    peer.says(
      frame(FrameType.ping, Flag.ack, 0, new Uint8Array(Buffer.from(ping!.split(" ")[2]!, "hex"))),
    );
    expect(peer.hears()).toEqual(["0 goaway 3 NO_ERROR"]);
    expect(peer.told()).toEqual(["pong 0"]);
    peer.says(headers(5, getRequest));
    expect(peer.hears()).toEqual(["5 rstStream REFUSED_STREAM"]);
    expect(peer.session.isDrained).toBe(false);
    for (const id of [1, 3]) peer.sink.streams.get(id)!.release();
    expect(peer.session.isDrained).toBe(true);
  });

  test("a client learns which of its requests were never begun", () => {
    const peer = Peer.ready("client");
    for (const user of ["a", "b", "c"]) {
      const stream = peer.session.open(user)!;
      writer.begin(stream);
      writer.status(200);
      writer.end(true);
    }
    peer.take();
    peer.says(frame(FrameType.goaway, 0, 0, uint32(3, 0)));
    expect(peer.told()).toEqual(["5 reset upstreamUnprocessed NO_ERROR", "goaway 3 NO_ERROR"]);
    expect(peer.session.room).toBe(0);
    expect(peer.session.open("d")).toBeUndefined();
    peer.says(
      frame(FrameType.rstStream, 0, 3, uint32(7)),
      frame(FrameType.rstStream, 0, 1, uint32(8)),
    );
    expect(peer.told()).toEqual([
      "3 reset upstreamUnprocessed REFUSED_STREAM",
      "1 reset upstreamReset CANCEL",
    ]);
    expect(peer.session.isDrained).toBe(true);
  });

  test("an answer before the end of the request, then release: the peer may stop", () => {
    const peer = Peer.ready("server");
    peer.says(open);
    const stream = peer.sink.streams.get(1)!;
    writer.begin(stream);
    writer.status(403);
    writer.end(true);
    stream.release();
    expect(peer.hears()).toEqual(["1 headers :status: 403 end", "1 rstStream NO_ERROR"]);
    // What was on its way is nobody's fault; what follows the peer's own reset is.
    peer.says(frame(FrameType.data, 0, 1, "late"));
    expect(peer.hears()).toEqual([]);
    peer.says(reset(1));
    peer.says(frame(FrameType.data, 0, 1, "later"));
    expect(peer.hears()).toEqual(["1 rstStream STREAM_CLOSED"]);
  });
});

test("private settings are sent, and those of the peer can be read", () => {
  const peer = new Peer("client", { settings: [[0xf0ca, 1]] });
  expect(Buffer.from(peer.take()).toString("hex")).toMatch(/f0ca00000001/);
  peer.says(settings([0xf0ca, 3], [3, 1]));
  expect(peer.session.peer.valueOf(0xf0ca)).toBe(3);
  expect(peer.session.peer.valueOf(0xf0cb)).toBeUndefined();
  expect(peer.session.room).toBe(1);
});

test("a client refuses what a server may not send", () => {
  const rows: readonly (readonly [Uint8Array, string])[] = [
    [settings([2, 1]), "PROTOCOL_ERROR"],
    [headers(2, [[":status", "200"]]), "PROTOCOL_ERROR"],
    [headers(3, [[":status", "200"]]), "PROTOCOL_ERROR"],
    [frame(FrameType.pushPromise, 4, 1, uint32(2)), "PROTOCOL_ERROR"],
  ];
  for (const [bytes, code] of rows) {
    const peer = Peer.ready("client");
    const stream = peer.session.open("x")!;
    writer.begin(stream);
    writer.status(200);
    writer.end(true);
    peer.take();
    peer.says(bytes);
    expect(peer.told()[0]).toBe(`1 reset upstreamProtocol ${code}`);
  }
  const peer = Peer.ready("client");
  const stream = peer.session.open("x")!;
  writer.begin(stream);
  writer.status(200);
  writer.end(true);
  peer.says(data("early"));
  expect(peer.told()).toEqual(["1 reset upstreamBadResponse PROTOCOL_ERROR"]);
});

test("every cut of the input tells the same", () => {
  const script = join([
    hello,
    settings([4, 100]),
    frame(FrameType.headers, 0, 1, literals(getRequest).subarray(0, 7)),
    frame(FrameType.continuation, 0, 1, literals(getRequest).subarray(7, 8)),
    frame(FrameType.continuation, 4, 1, literals(getRequest).subarray(8)),
    frame(FrameType.data, Flag.padded, 1, "\x03abcd\0\0\0"),
    frame(FrameType.ping, 0, 0, "12345678"),
    headers(3, [...getRequest, ["x", "1"]]),
    data("efg"),
    headers(1, [["sum", "1"]]),
    window(0, 5),
    frame(0x99, 0, 0, "unknown"),
  ]);
  const play = (...parts: Uint8Array[]): string[] => {
    const peer = new Peer("server");
    peer.says(...parts);
    return [...peer.told(), ...peer.hears()];
  };
  const wanted = play(script);
  expect(wanted.slice(0, 7)).toEqual([
    "1 head GET / HTTP/1.1|host: a|",
    "1 data abcd",
    "3 head GET / HTTP/1.1|host: a|x: 1|",
    "3 end",
    "1 data efg",
    "1 trailers sum: 1|",
    "1 end",
  ]);
  expect(wanted[7]).toBe("extension 153 unknown");
  expect(play(...Array.from(script, (_, i) => script.subarray(i, i + 1)))).toEqual(wanted);
  for (let i = 1; i < script.length; i++)
    expect(play(script.subarray(0, i), script.subarray(i))).toEqual(wanted);
});

test("a window of nothing that crosses with the end of the answer is refused, once", () => {
  const peer = Peer.ready("server");
  peer.says(request);
  const stream = peer.sink.streams.get(1)!;
  writer.begin(stream);
  writer.status(204);
  writer.end(true);
  stream.release();
  peer.hears();
  peer.says(window(1, 0), window(1, 0), window(1, 9));
  expect(peer.hears()).toEqual(["1 rstStream PROTOCOL_ERROR"]);
});
