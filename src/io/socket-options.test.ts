/** What the kernel says of our sockets, read back through another call than the one that set it. */
import { expect, test } from "bun:test";
import { RawClient } from "../testing/raw-client.ts";
import { libc } from "./libc.ts";
import { originalDestination } from "./original-destination.ts";
import type { TcpSocket } from "./socket.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  isLoopback,
  localAddressOf,
} from "./socket-address.ts";
import { isWithinMachine, setBacklog, setPlainCongestionControl } from "./socket-options.ts";
import { listenTcp } from "./tcp-listener.ts";

const bytesOf = (hex: string): Uint8Array => Uint8Array.fromHex(hex.replaceAll(" ", ""));

test("socket addresses read as the standards write them", () => {
  const rows: [string, string, number][] = [
    ["0200 3a99 0a000001 0000000000000000", "10.0.0.1", 15001],
    ["0a00 0050 00000000 20010db8000000000000000000000001", "2001:db8::1", 80],
    ["0a00 0050 00000000 00000000000000000000ffffc0000201", "192.0.2.1", 80],
    ["0a00 ffff 00000000 00000000000000000000000000000000", "::", 65535],
    ["0a00 0001 00000000 20010db8000100000001000000000001", "2001:db8:1:0:1::1", 1],
    ["0a00 0001 00000000 20010db8000100020003000400050006", "2001:db8:1:2:3:4:5:6", 1],
    ["0a00 0001 00000000 00010002000300040005000600070000", "1:2:3:4:5:6:7:0", 1],
  ];
  for (const [hex, address, port] of rows)
    expect(decodeSocketAddress(bytesOf(hex))).toEqual({ address, port });
  rows[2]![1] = "::ffff:192.0.2.1";
  for (const [hex, address, port] of rows) {
    const encoded = encodeSocketAddress(address, port)!;
    expect(encoded.length).toBe(address.includes(":") ? 28 : 16);
    expect(encoded.subarray(0, 24)).toEqual(bytesOf(hex));
  }
  for (const name of ["localhost", "", "fe80::1%eth0", "1.2.3", "::g"])
    expect(encodeSocketAddress(name, 80)).toBeUndefined();
  expect(decodeSocketAddress(bytesOf("0100 2f746d70"))).toBeUndefined();
});

interface Accepted {
  readonly listenerFd: number;
  readonly port: number;
  readonly socket: TcpSocket<undefined>;
  close(): void;
}

async function accept(): Promise<Accepted> {
  let accepted: TcpSocket<undefined> | undefined;
  const listener = listenTcp<undefined>(
    { hostname: "127.0.0.1", port: 0 },
    {
      open(socket) {
        accepted = socket;
      },
      data() {},
      drain() {},
      end() {},
      close() {},
    },
  );
  const client = await RawClient.connect({ port: listener.port });
  while (accepted === undefined) await Bun.sleep(1);
  return {
    listenerFd: listener.fd,
    port: listener.port,
    socket: accepted,
    close() {
      client.terminate();
      listener.stop();
    },
  };
}

test("a connection that nobody redirected has no original destination", async () => {
  const { socket, port, close } = await accept();
  expect(originalDestination(socket, port)).toBeUndefined();
  expect(originalDestination({ ...addressesOf(socket), fd: -1 }, port)).toBeUndefined();
  close();
});

test("a connection at another port than the listener's was handed over by TPROXY", async () => {
  const { socket, port, close } = await accept();
  const found = { address: "127.0.0.1", port };
  expect(originalDestination(socket, port + 1)).toEqual(found);
  const mapped = { ...addressesOf(socket), localAddress: "::ffff:127.0.0.1" };
  expect(originalDestination(mapped, port + 1)).toEqual(found);
  close();
});

function addressesOf({ fd, localAddress, localPort }: TcpSocket<undefined>) {
  return { fd, localAddress, localPort };
}

test("options are set where the system has them, and refused on what is no socket", async () => {
  const { listenerFd, port, close } = await accept();
  const can = libc() !== undefined;
  expect(setBacklog(listenerFd, 4_096)).toBe(can);
  expect(setBacklog(-1, 1)).toBe(false);
  expect(localAddressOf(listenerFd)).toEqual(can ? { address: "127.0.0.1", port } : undefined);
  close();
});

test("a connection within the machine gets the plainest congestion control", async () => {
  const { socket, close } = await accept();
  expect(setPlainCongestionControl(socket.fd)).toBe(true);
  const name = new Uint8Array(16);
  expect(libc()!.getsockopt(socket.fd, 6, 13, name, Int32Array.of(16))).toBe(0);
  expect(Buffer.from(name).toString("latin1").replaceAll("\0", "")).toBe("reno");
  expect(setPlainCongestionControl(-1)).toBe(false);
  expect(isWithinMachine(socket.localAddress, socket.remoteAddress)).toBe(true);
  close();
});

test("which addresses are this machine's alone", () => {
  for (const address of ["127.0.0.1", "127.9.9.9", "::1"])
    expect(isLoopback(encodeSocketAddress(address, 80)!)).toBe(true);
  for (const address of ["128.0.0.1", "10.127.0.1", "::", "::2", "fe80::1"])
    expect(isLoopback(encodeSocketAddress(address, 80)!)).toBe(false);
  // The application's packets, redirected to us, keep the pod's address as their source.
  expect(isWithinMachine("127.0.0.1", "10.0.0.7")).toBe(true);
  expect(isWithinMachine("::1", "fd00::7")).toBe(true);
  expect(isWithinMachine("::ffff:127.0.0.1", "::ffff:10.0.0.7")).toBe(true);
  expect(isWithinMachine("10.0.0.7", "10.0.0.7")).toBe(true);
  expect(isWithinMachine("10.0.0.7", "10.0.0.8")).toBe(false);
});
