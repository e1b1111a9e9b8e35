/** Whose socket is at the other end: by the kernel's own tables, and by tables made up. */
import { afterEach, expect, test } from "bun:test";
import { fstatSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectLinear } from "../testing/growth.ts";
import { socketOwner } from "./socket-owner.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n";
const near = { address: "127.0.0.1", port: 15_010 };
const far = { address: "127.0.0.1", port: 0x88d8 };
const OURS = "0100007F:3AA2 0100007F:88D8";
const THEIRS = "0100007F:88D8 0100007F:3AA2";

/** A line of the table. */
function line(ends: string, state: string, uid: number, inode: number): string {
  const rest = `${uid}        0 ${inode} 3 0000000011f44d5f 20 4 29 12 -1`;
  return `   7: ${ends} ${state} 00000000:0000001A 00:00000000 00000000  ${rest}\n`;
}

function tables(v4: string, v6 = ""): readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), "mesh-owner-"));
  closing.push(() => rmSync(directory, { recursive: true }));
  return ["tcp", "tcp6"].map((name, i) => {
    const path = join(directory, name);
    writeFileSync(path, HEAD + [v4, v6][i]!);
    return path;
  });
}

const cases: readonly (readonly [what: string, table: string, uid: number | undefined])[] = [
  ["is listed", line(OURS, "01", 7, 500) + line(THEIRS, "01", 1000, 501), 1000],
  ["is root's", line(OURS, "01", 7, 500) + line(THEIRS, "01", 0, 501), 0],
  ["is not of this machine", line(OURS, "01", 7, 500), undefined],
  ["was let go: user 0", line(OURS, "01", 7, 500) + line(THEIRS, "05", 0, 0), undefined],
  ["has no socket any more", line(OURS, "01", 7, 500) + line(THEIRS, "01", 0, 0), undefined],
  ["was reset; its port is somebody else's", line(THEIRS, "01", 0, 501), undefined],
  ["is ours no more", line(OURS, "08", 7, 500) + line(THEIRS, "01", 0, 501), undefined],
  ["belongs to another of ours", line(OURS, "01", 7, 9) + line(THEIRS, "01", 0, 501), undefined],
  ["stands in a line cut short", `${line(OURS, "01", 7, 500)} 7: ${THEIRS} 01 00 00\n`, undefined],
  ["stands in a table that is none", "\xff\x00 nonsense", undefined],
];

test.each(cases)("a far end that %s", (_, table, uid) => {
  expect(socketOwner({ near, far, inode: 500 }, tables(table))).toBe(uid);
});

test("IPv6, and IPv4 through a socket for both, stand in the other table", () => {
  const ours = "0000000000000000FFFF00000100007F:3AA2 0000000000000000FFFF00000100007F:88D8";
  const mapped = `${THEIRS.split(" ")
    .map((end) => `0000000000000000FFFF0000${end}`)
    .join(" ")}`;
  const found = socketOwner(
    { near, far: { address: "::ffff:127.0.0.1", port: far.port }, inode: 0 },
    tables(line(OURS, "01", 7, 500), line(mapped, "01", 1000, 501)),
  );
  expect(found).toBe(1000);
  expect(
    socketOwner({ near, far, inode: 500 }, tables("", line(ours, "01", 7, 500))),
  ).toBeUndefined();
  const one = "00000000000000000000000001000000";
  const v6 =
    line(`${one}:3AA2 ${one}:88D8`, "01", 7, 500) + line(`${one}:88D8 ${one}:3AA2`, "01", 33, 501);
  const [nearEnd, farEnd] = [near, far].map(({ port }) => ({ address: "::1", port }));
  expect(socketOwner({ near: nearEnd!, far: farEnd!, inode: 500 }, tables("", v6))).toBe(33);
});

test("nobody is known where there are no tables, or by a name", () => {
  expect(socketOwner({ near, far, inode: 0 }, ["/no/such/table"])).toBeUndefined();
  const named = { address: "localhost", port: 1 };
  expect(socketOwner({ near, far: named, inode: 0 }, tables(""))).toBeUndefined();
});

test("a table of four times the connections takes no more than its share", () => {
  const other = (i: number): string => {
    const port = i.toString(16).toUpperCase().padStart(4, "0");
    return line(`0100007F:0050 0100007F:${port}`, "01", 0, i + 1);
  };
  const table = (lines: number) => {
    return tables(Array.from({ length: lines }, (_, i) => other(i)).join(""));
  };
  const byLines = new Map([2_000, 8_000].map((lines) => [lines, table(lines)]));
  expectLinear((lines) => {
    expect(socketOwner({ near, far, inode: 0 }, byLines.get(lines))).toBeUndefined();
  }, 2_000);
});

test.skipIf(process.platform !== "linux")("we know ourselves, until we are gone", async () => {
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer((socket) => accepted.resolve(socket));
  closing.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  const client = connect(address.port, "127.0.0.1");
  closing.push(() => client.destroy());
  const socket = await accepted.promise;
  const ends = {
    near: { address: "127.0.0.1", port: address.port },
    far: { address: "127.0.0.1", port: socket.remotePort! },
    inode: fstatSync(socketDescriptor(socket)).ino,
  };
  expect(socketOwner(ends)).toBe(process.getuid!());
  const gone = new Promise((resolve) => socket.on("close", resolve));
  client.destroy();
  socket.destroy();
  await gone;
  expect(socketOwner(ends)).toBeUndefined();
});

function socketDescriptor(socket: Socket): number {
  const { _handle } = socket as unknown as { _handle: { fd: number } };
  return _handle.fd;
}
