/** Whole exchanges as transcripts: what the peer says, what the sink is told, what we say. */
import { expect, test } from "bun:test";
import { MessageHead } from "../http/message-head.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import { octets } from "../testing/http1-stream.ts";
import { frame, getRequest, headers, hello, Peer } from "../testing/http2-peer.ts";
import { FrameType } from "./frame.ts";
import { HeadBlockWriter } from "./head-block-writer.ts";

const writer = new HeadBlockWriter();

test("a server says its SETTINGS first, and acknowledges those of the peer", () => {
  const peer = new Peer("server");
  expect(peer.hears()).toEqual([
    "0 settings 0004000100000005000040000006000" + "0f00000030000006400080000" + "0001",
    "0 windowUpdate 983041",
  ]);
  peer.says(hello);
  expect(peer.hears()).toEqual(["0 settings ack"]);
  expect(peer.session.isReady).toBe(true);
});

test("a request and its answer", () => {
  const peer = Peer.ready("server");
  peer.says(headers(1, [...getRequest, ["x", "1"]]));
  expect(peer.told()).toEqual(["1 head GET / HTTP/1.1|host: a|x: 1|", "1 end"]);
  const stream = peer.sink.streams.get(1)!;
  writer.begin(stream);
  writer.status(200);
  writer.contentLength(5);
  writer.end(false);
  expect(stream.write(octets("hello"), 0, 5)).toBe(5);
  stream.end();
  expect(peer.hears()).toEqual(["1 headers :status: 200|content-length: 5", "1 data hello end"]);
  expect(peer.session.streamCount).toBe(1);
  stream.release();
  expect(peer.session.streamCount).toBe(0);
});

test("a client's request, with content, trailers and an interim answer", () => {
  const peer = Peer.ready("client");
  const stream = peer.session.open("exchange")!;
  const head = new MessageHead();
  head.bytes = octets("POST /p?q HTTP/1.1\r\nhost: b\r\n\r\n");
  scanRequestHead(head.bytes, 0, head.bytes.length, head);
  expect(writer.begin(stream)).toBe(true);
  writer.request(head, undefined, undefined);
  writer.fields(head);
  writer.add(octets("X-Y: 1\r\n"));
  writer.end(false);
  stream.write(octets("body"), 0, 4);
  stream.trailers(octets("sum: 1\r\n"), 0, 8);
  expect(peer.hears()).toEqual([
    "1 headers :method: POST|:scheme: http|:path: /p?q|:authority: b|x-y: 1",
    "1 data body",
    "1 headers sum: 1 end",
  ]);
  peer.says(
    headers(
      1,
      [
        [":status", "103"],
        ["link", "x"],
      ],
      false,
    ),
  );
  peer.says(headers(1, [[":status", "200"]], false));
  peer.says(frame(FrameType.data, 0, 1, "answer"), headers(1, [["grpc-status", "0"]]));
  expect(peer.told()).toEqual([
    "1 interim HTTP/1.1 103 |link: x|",
    "1 head HTTP/1.1 200 OK|",
    "1 data answer",
    "1 trailers grpc-status: 0|",
    "1 end",
  ]);
  expect(peer.session.streamCount).toBe(0);
});
