/** Replies that the proxy makes itself, and the framing that it writes. */
import { expect, test } from "bun:test";
import { Failures } from "../core/failure.ts";
import { MethodId } from "../http/method.ts";
import { latin1, octets, readStream } from "../testing/http1-stream.ts";
import { chunkEnd, chunkSizeBytesMax, lastChunk, writeChunkSize } from "./chunk-writer.ts";
import { failureReply, localReply } from "./local-reply.ts";

test("a failure is answered with its status, its reason and a text", () => {
  const bytes = failureReply(Failures.noRoute, false, "no host\r\nx: y");
  expect(latin1(bytes, 0, bytes.length)).toBe(
    "HTTP/1.1 404 Not Found\r\nx-mesh-reason: no-route\r\ncontent-type: text/plain\r\n" +
      "content-length: 24\r\n\r\nno-route: no host??x: y\n",
  );
});

test("every failure with a status has a reply that reads back", () => {
  for (const failure of Object.values(Failures)) {
    if (failure.http === 0) continue;
    const stream = readStream([failureReply(failure, true)], { response: true });
    expect(stream.end).toBe("closed");
    expect(stream.messages[0]!.start).toMatch(new RegExp(`^${failure.http} [A-Z]`));
    expect(stream.messages[0]!.body).toBe(`${failure.reason}\n`);
  }
});

test("a redirect, the answer to HEAD, and a status without content", () => {
  const bodiless = localReply({ status: 404, reason: "x", closes: false, bodiless: true });
  const head = readStream([bodiless], { response: true, requestMethod: MethodId.head });
  expect([head.end, head.messages[0]!.body]).toEqual(["none", ""]);
  const fields = "location: /b\r\n";
  const redirect = localReply({ status: 301, reason: "", closes: false, fields });
  expect(latin1(redirect, 0, redirect.length)).toBe(
    "HTTP/1.1 301 Moved Permanently\r\ncontent-length: 0\r\nlocation: /b\r\n\r\n",
  );
  const empty = localReply({ status: 204, reason: "", closes: false });
  expect(latin1(empty, 0, empty.length)).toBe("HTTP/1.1 204 No Content\r\n\r\n");
});

test("chunk sizes are written in hexadecimal", () => {
  const out = new Uint8Array(chunkSizeBytesMax);
  for (const size of [1, 9, 10, 15, 16, 255, 4096, 65536, 2 ** 40 + 1, 2 ** 48 - 1]) {
    const end = writeChunkSize(out, 0, size);
    expect(latin1(out, 0, end)).toBe(`${size.toString(16)}\r\n`);
  }
  expect(latin1(chunkEnd, 0, 2) + latin1(lastChunk, 0, 5)).toBe("\r\n0\r\n\r\n");
  expect(octets("\xff")[0]).toBe(255);
});
