/**
 * The two fields of a WebSocket handshake that HTTP/2 does not have (RFC 6455 4, RFC 8441 5): made
 * where a handshake leaves HTTP/2, answered where it came from HTTP/1.1.
 */
import type { MessageHead } from "../../http/message-head.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES = 16;
const encoder = new TextEncoder();
const keyName = encoder.encode("sec-websocket-key");

/** A whole line, with a nonce of its own. */
export function websocketKeyLine(): Uint8Array {
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(KEY_BYTES)));
  return encoder.encode(`sec-websocket-key: ${nonce.toString("base64")}\r\n`);
}

/** A whole line, for the key of this request; empty where it has none. */
export function websocketAcceptLine(request: MessageHead): Uint8Array {
  const field = request.find(keyName);
  if (field === -1) return new Uint8Array(0);
  const digest = new Bun.CryptoHasher("sha1")
    .update(`${request.valueText(field)}${GUID}`)
    .digest("base64");
  return encoder.encode(`sec-websocket-accept: ${digest}\r\n`);
}
