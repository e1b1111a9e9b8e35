/** The request for a connection inside of one between sidecars, and what it says of who asks. */
import { assert } from "../../core/assert.ts";
import { MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";

const CLAIM = new TextEncoder().encode("x-mesh-source");

/** The request, scanned from the form of HTTP/1.1; `claim`: who opens connections; "": no word. */
export function meshRequest(claim: string): MessageHead {
  const says = claim === "" ? "" : `x-mesh-source: ${claim}\r\n`;
  const text = `CONNECT mesh.invalid:1 HTTP/1.1\r\nhost: mesh.invalid:1\r\n${says}\r\n`;
  const bytes = new TextEncoder().encode(text);
  const head = new MessageHead();
  const end = scanRequestHead(bytes, 0, bytes.length, head);
  assert(end === bytes.length, "a request of our own is sound");
  return head;
}

/** What such a request says of who opens the connection; "": nothing. */
export function claimOf(head: MessageHead): string {
  const field = head.find(CLAIM);
  return field === -1 ? "" : head.valueText(field);
}
