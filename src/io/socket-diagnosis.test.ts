/** What is asked of the kernel about one connection, and what is made of its answers. */
import { describe, expect, test } from "bun:test";
import { decodeAnswer, diagnoseSocket, encodeRequest } from "./socket-diagnosis.ts";

const local = { address: "127.0.0.1", port: 0x1234 };
const remote = { address: "127.0.0.2", port: 0x5678 };
const request = encodeRequest(local, remote)!;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Of a connection between these, as the kernel would tell of it. */
function answer(state: number, uid: number, inode: number): Uint8Array {
  const bytes = Buffer.alloc(88);
  bytes.writeUInt32LE(88, 0);
  bytes.writeUInt16LE(20, 4);
  bytes[16] = 2;
  bytes[17] = state;
  bytes.set(request.subarray(24, 64), 20);
  bytes.writeUInt32LE(uid, 80);
  bytes.writeUInt32LE(inode, 84);
  return bytes;
}

function fault(errno: number): Uint8Array {
  const bytes = Buffer.alloc(36);
  bytes.writeUInt32LE(36, 0);
  bytes.writeUInt16LE(2, 4);
  bytes.writeInt32LE(-errno, 16);
  return bytes;
}

test("a request names both ends, in the order of the network", () => {
  const ends = `${"1234"}${"5678"}7f000001${"00".repeat(12)}7f000002${"00".repeat(12)}`;
  expect(hex(request)).toBe(
    `${"48000000"}${"1400"}${"0100"}${"00".repeat(8)}${"02060000"}${"02000000"}${ends}` +
      `${"00".repeat(4)}${"ff".repeat(8)}`,
  );
  const v6 = encodeRequest({ address: "::1", port: 1 }, { address: "fd00::2", port: 2 })!;
  expect(hex(v6).slice(32, 34)).toBe("0a");
  expect(hex(v6).slice(48)).toStartWith(`00010002${"00".repeat(15)}01fd00`);
  expect(encodeRequest(local, { address: "::1", port: 1 })).toBeUndefined();
  expect(encodeRequest(local, { address: "localhost", port: 1 })).toBeUndefined();
});

describe("an answer", () => {
  test("of an established connection has its user and its socket", () => {
    expect(decodeAnswer(answer(1, 1000, 77), request)).toEqual({ uid: 1000, inode: 77 });
  });

  test("of who listens there, of one that is let go, or of another one, is none", () => {
    expect(decodeAnswer(answer(10, 0, 77), request)).toBeUndefined();
    expect(decodeAnswer(answer(1, 0, 0), request)).toBeUndefined();
    const other = encodeRequest(local, { ...remote, port: 1 })!;
    expect(decodeAnswer(answer(1, 0, 77), other)).toBeUndefined();
  });

  test("that says there is none is none; another fault is no answer", () => {
    expect(decodeAnswer(fault(2), request)).toBeUndefined();
    expect(decodeAnswer(fault(1), request)).toBe("unavailable");
    expect(decodeAnswer(fault(95), request)).toBe("unavailable");
  });

  test("cut short anywhere is no answer", () => {
    const whole = answer(1, 1000, 77);
    for (let length = 0; length < whole.length; length++)
      expect(decodeAnswer(whole.subarray(0, length), request)).toBe("unavailable");
  });
});

test.skipIf(process.platform !== "linux")("nobody is at the end of no connection", () => {
  const found = diagnoseSocket(
    { address: "127.0.0.1", port: 1 },
    { address: "127.0.0.1", port: 2 },
  );
  expect([undefined, "unavailable"]).toContain(found as undefined);
});
