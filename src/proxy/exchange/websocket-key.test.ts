/** What a WebSocket handshake needs on its way between versions. */
import { expect, test } from "bun:test";
import { MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { websocketAcceptLine, websocketKeyLine } from "./websocket-key.ts";

test("the answer to the key of RFC 6455 1.3 is the one that it gives", () => {
  const text =
    "GET /chat HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const bytes = new TextEncoder().encode(text);
  const head = new MessageHead();
  scanRequestHead(bytes, 0, bytes.length, head);
  const line = new TextDecoder().decode(websocketAcceptLine(head));
  expect(line).toBe("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
});

test("a key is 16 octets, and never the same", () => {
  const keys = [websocketKeyLine(), websocketKeyLine()].map(
    (line) => /^sec-websocket-key: (\S{24})\r\n$/.exec(new TextDecoder().decode(line))?.[1],
  );
  expect(Buffer.from(keys[0]!, "base64").length).toBe(16);
  expect(keys[0]).not.toBe(keys[1]);
});
