/**
 * Whose process is at the other end of a connection on this machine: asked of the kernel, or where
 * it does not answer that, looked for in its tables (proc(5), /proc/net/tcp and tcp6; not in their
 * manual page: `sl local remote st … uid timeout inode`). SO_PEERCRED is for unix sockets only.
 *
 * A connection that is being closed is listed with user 0 and inode 0 once its process let go of
 * it, so only those count that are established and have a socket; and a port may be taken anew by
 * somebody else, so our own end has to be there still.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { encodeSocketAddress, type SocketAddress } from "./socket-address.ts";
import { diagnoseSocket, type SocketEntry } from "./socket-diagnosis.ts";

export interface ConnectionEnds {
  readonly near: SocketAddress;
  readonly far: SocketAddress;
  /** Of the near socket; 0: it is not known, and not compared. */
  readonly inode: number;
}

const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"] as const;
const CHUNK_BYTES = 64 << 10;
/** Some 200,000 connections; beyond that nobody is recognized. */
const TABLE_BYTES_MAX = 32 << 20;
const ESTABLISHED = "01";

/** The user of the far end; undefined: not on this machine, gone already, or not to be known. */
export function socketOwner(
  { near, far, inode }: ConnectionEnds,
  tables?: readonly string[],
): number | undefined {
  const find = (local: SocketAddress, remote: SocketAddress): SocketEntry | undefined => {
    const found = tables === undefined ? diagnoseSocket(local, remote) : "unavailable";
    return found === "unavailable" ? findEntry(local, remote, tables ?? TABLES) : found;
  };
  const farEnd = find(far, near);
  if (farEnd === undefined) return undefined;
  const nearEnd = find(near, far);
  if (nearEnd === undefined || (inode !== 0 && nearEnd.inode !== inode)) return undefined;
  return farEnd.uid;
}

/** An established connection from `local` to `remote`, as its local end is listed. */
function findEntry(
  local: SocketAddress,
  remote: SocketAddress,
  tables: readonly string[],
): SocketEntry | undefined {
  const [localForms, remoteForms] = [formsOf(local), formsOf(remote)];
  for (const [i, path] of tables.entries()) {
    const [from, to] = [localForms[i], remoteForms[i]];
    if (from === undefined || to === undefined) continue;
    const found = findInTable(path, ` ${from} ${to} ${ESTABLISHED} `);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** As the IPv4 and the IPv6 table have it; a socket for both has a v4-mapped address. */
function formsOf({ address, port }: SocketAddress): readonly (string | undefined)[] {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  const bytes = encodeSocketAddress(mapped, port);
  if (bytes === undefined) return [];
  const suffix = `:${hex(port, 4)}`;
  if (bytes.length === 16) {
    const word = wordsOf(bytes.subarray(4, 8));
    return [word + suffix, `0000000000000000FFFF0000${word}${suffix}`];
  }
  return [undefined, wordsOf(bytes.subarray(8, 24)) + suffix];
}

/** Words of 32 bits, each printed as this machine has it in memory. */
function wordsOf(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let words = "";
  for (let i = 0; i < bytes.length; i += 4) words += hex(view.getUint32(i, true), 8);
  return words;
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}

/** Reads until it is found: the kernel makes each line when it is asked for. */
function findInTable(path: string, wanted: string): SocketEntry | undefined {
  const file = openTable(path);
  if (file === undefined) return undefined;
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let rest = "";
    for (let total = 0; total < TABLE_BYTES_MAX; ) {
      const length = readSync(file, chunk, 0, CHUNK_BYTES, null);
      const text = rest + chunk.toString("latin1", 0, length);
      const at = text.indexOf(wanted);
      const end = at === -1 ? -1 : text.indexOf("\n", at);
      if (end !== -1) return entryOf(text.slice(at + wanted.length, end));
      if (length === 0) return undefined;
      rest = text.slice(text.lastIndexOf("\n") + 1);
      total += length;
    }
    return undefined;
  } finally {
    closeSync(file);
  }
}

/** Undefined where there is no such table: another system, or no IPv6. */
function openTable(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch {
    return undefined;
  }
}

/** "tx:rx tr:when retrnsmt uid timeout inode …" */
function entryOf(line: string): SocketEntry | undefined {
  const [, , , uid = "", , inode = ""] = line.trim().split(/ +/);
  const isKnown = /^\d{1,10}$/.test(uid) && /^[1-9]\d{0,15}$/.test(inode);
  return isKnown ? { uid: Number(uid), inode: Number(inode) } : undefined;
}
