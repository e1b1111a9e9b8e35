/** A request head with the changes that rules ask for: octets to be scanned as received ones. */
import { bytesOfText as encode } from "../../attribute/byte-text.ts";
import { FieldId } from "../../http/field-id.ts";
import { type MessageHead, TargetForm } from "../../http/message-head.ts";
import type { HeaderEdits } from "./header-edit.ts";

const HTTP1 = encode(" HTTP/1.1\r\n");
const HTTP10 = encode(" HTTP/1.0\r\n");
const HOST = encode("host: ");
const SLASH = encode("/");
const QUESTION = encode("?");
const CRLF = encode("\r\n");

export function rewriteRequest(head: MessageHead, edits: HeaderEdits): Uint8Array {
  const { bytes, start, methodEnd, minorVersion, nameStart, fieldCount } = head;
  const parts: Uint8Array[] = [bytes.subarray(start, methodEnd + 1)];
  pushTarget(parts, head, edits);
  parts.push(minorVersion === 0 ? HTTP10 : HTTP1);
  const { authority } = edits;
  if (authority !== "") parts.push(HOST, encode(authority), CRLF);
  for (let i = 0; i < fieldCount; i++) {
    if (authority !== "" && head.fieldId[i] === FieldId.host) continue;
    if (edits.drops(head, i)) continue;
    if (head.connectionNamesFields && head.fieldId[i] === FieldId.connection)
      pushConnection(parts, head.valueText(i), edits);
    else parts.push(bytes.subarray(nameStart[i], nameStart[i + 1]));
  }
  parts.push(edits.lines, CRLF);
  return Buffer.concat(parts);
}

/** Without what comes by `edits`: a client takes nothing away that we say (CVE-2022-31813). */
function pushConnection(parts: Uint8Array[], value: string, edits: HeaderEdits): void {
  const options = value
    .split(",")
    .map((option) => option.trim())
    .filter((option) => option !== "" && !edits.sets(option.toLowerCase()));
  if (options.length > 0) parts.push(encode(`connection: ${options.join(", ")}\r\n`));
}

/** An absolute target names an authority too: with another one it is a path. */
function pushTarget(parts: Uint8Array[], head: MessageHead, edits: HeaderEdits): void {
  const { bytes, form, pathStart, pathEnd, queryStart, queryEnd } = head;
  if (edits.path !== "") return void parts.push(encode(edits.path));
  if (form !== TargetForm.absolute || edits.authority === "")
    return void parts.push(bytes.subarray(head.targetStart, head.targetEnd));
  parts.push(pathEnd === pathStart ? SLASH : bytes.subarray(pathStart, pathEnd));
  if (queryStart !== -1) parts.push(QUESTION, bytes.subarray(queryStart, queryEnd));
}
