/** gRPC-Web to gRPC and back, message by message, wherever the network cuts them. */
import { describe, expect, test } from "bun:test";
import { cuts } from "../../testing/cuts.ts";
import { expectLinear } from "../../testing/growth.ts";
import { CallKind } from "./media-type.ts";
import { MessageBoundary } from "./message-boundary.ts";
import { WebBridge } from "./web-bridge.ts";

const { web, webText } = CallKind;
const SEED = 11;

function message(text: string, flags = 0): Buffer {
  const framed = Buffer.alloc(5 + text.length);
  framed[0] = flags;
  framed.writeUInt32BE(text.length, 1);
  framed.write(text, 5, "latin1");
  return framed;
}

describe("a request", () => {
  const messages = Buffer.concat([message("hello"), message(""), message("\xff\0")]);

  test("in binary goes on as it came", () => {
    const bridge = new WebBridge(web, web);
    expect(bridge.decodeRequest(messages, 0, messages.length)).toBeUndefined();
    expect(bridge.endRequest()).toBe(true);
    expect(bridge.failed).toBe(false);
  });

  test("in text is decoded", () => {
    const padded = [message("hello"), message(""), message("\xff\0")].map((one) =>
      one.toString("base64"),
    );
    for (const text of [messages.toString("base64"), padded.join("")])
      for (const pieces of cuts(Buffer.from(text), SEED)) {
        const bridge = new WebBridge(webText, webText);
        const out = pieces.map((piece) => bridge.decodeRequest(piece, 0, piece.length)!);
        expect(Buffer.concat(out).equals(messages)).toBe(true);
        expect(bridge.endRequest()).toBe(true);
      }
  });

  test("in text that ends too early is malformed", () => {
    const bridge = new WebBridge(webText, webText);
    bridge.decodeRequest(Buffer.from("AAAAAAE"), 0, 7);
    expect(bridge.failed).toBe(false);
    expect(bridge.endRequest()).toBe(false);
    expect(bridge.failed).toBe(true);
  });

  test("is decoded from its beginning once more for another try", () => {
    const bridge = new WebBridge(webText, webText);
    bridge.decodeRequest(Buffer.from("YW"), 0, 2);
    bridge.beginTry();
    expect(Buffer.from(bridge.decodeRequest(Buffer.from("YWJj"), 0, 4)!).toString()).toBe("abc");
  });
});

describe("a response", () => {
  const lines = Buffer.from("grpc-status: 0\r\ngrpc-message: fine\r\n");
  const frame = Buffer.concat([Buffer.from([0x80, 0, 0, 0, lines.length]), lines]);

  test("in binary ends with a frame of trailers", () => {
    const bridge = new WebBridge(webText, web);
    const one = message("hello");
    expect(bridge.encodeResponse(one, 0, one.length)).toBeUndefined();
    expect(Buffer.from(bridge.trailerFrame(lines, lines.length)).equals(frame)).toBe(true);
  });

  test("in text is whole after each piece", () => {
    const messages = Buffer.concat([message("hello"), message("x")]);
    for (const pieces of cuts(messages, SEED)) {
      const bridge = new WebBridge(web, webText);
      const out = pieces.map((piece) => {
        const around = Buffer.concat([Buffer.from("<"), piece, Buffer.from(">")]);
        return Buffer.from(bridge.encodeResponse(around, 1, 1 + piece.length)!).toString();
      });
      for (const [i, text] of out.entries())
        expect(Buffer.from(text, "base64").equals(Buffer.from(pieces[i]!))).toBe(true);
      for (const text of out) expect(text.length % 4).toBe(0);
      const end = Buffer.from(bridge.trailerFrame(lines, lines.length)).toString();
      expect(Buffer.from(end, "base64").equals(frame)).toBe(true);
    }
  });

  test("takes trailers only between messages", () => {
    const bridge = new WebBridge(web, web);
    const one = message("hello");
    expect(bridge.isBetween).toBe(true);
    for (let at = 0; at < one.length; at++) {
      bridge.encodeResponse(one, at, at + 1);
      expect(bridge.isBetween).toBe(at === one.length - 1);
    }
    bridge.encodeResponse(one, 0, 7);
    bridge.beginTry();
    expect(bridge.isBetween).toBe(true);
  });
});

describe("the end of a message is found", () => {
  const all = Buffer.concat([message("a"), message(""), message("b".repeat(300), 1)]);
  const ends = [0, 6, 11, all.length];

  test("wherever the stream is cut", () => {
    for (const pieces of cuts(all, SEED)) {
      const boundary = new MessageBoundary();
      let at = 0;
      for (const piece of pieces) {
        boundary.pass(piece, 0, piece.length);
        at += piece.length;
        expect(boundary.isBetween).toBe(ends.includes(at));
      }
    }
  });

  test("however long it is said to be", () => {
    const boundary = new MessageBoundary();
    boundary.pass(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]), 0, 8);
    expect(boundary.isBetween).toBe(false);
    boundary.reset();
    boundary.pass(all, 0, 6);
    expect(boundary.isBetween).toBe(true);
  });

  test("in time that grows with what passes", () => {
    const many = Buffer.concat(Array.from({ length: 40_000 }, () => message("abc")));
    expectLinear((n) => new MessageBoundary().pass(many, 0, n), 80_000);
  });
});
