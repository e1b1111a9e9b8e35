/**
 * Fields that some reader takes for one of a given name: applications that get fields as variables
 * of CGI (WSGI, Rack, PHP) read x_user and x-user as the same HTTP_X_USER.
 */
import type { MessageHead } from "../../http/message-head.ts";

const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

/** The first at or behind `from`; -1: none. `name`: in lower case. */
export function findAlike(head: MessageHead, name: Uint8Array, from = 0): number {
  for (let i = from; i < head.fieldCount; i++) if (isAlike(head, i, name)) return i;
  return -1;
}

export function isAlike(
  { bytes, nameStart, nameEnd }: MessageHead,
  field: number,
  name: Uint8Array,
) {
  const from = nameStart[field]!;
  if (nameEnd[field]! - from !== name.length) return false;
  for (let i = 0; i < name.length; i++)
    if (folded(bytes[from + i]!) !== folded(name[i]!)) return false;
  return true;
}

function folded(octet: number): number {
  if (octet === UNDERSCORE) return HYPHEN;
  return octet >= 65 && octet <= 90 ? octet | 32 : octet;
}
