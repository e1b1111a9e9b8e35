/** Who is found in the directory of workloads, by name and by address. */
import { expect, test } from "bun:test";
import { parseIpAddress } from "../attribute/ip-address.ts";
import { KNOWN_WORKLOADS_MAX, type KnownWorkload, WorkloadIndex } from "./workload-directory.ts";

const workload = (id: string, more: Partial<KnownWorkload> = {}): KnownWorkload => ({
  ...{ id, namespace: "shop", serviceAccount: "", labels: {} },
  ...{ addresses: [], ports: [], services: [], ...more },
});

function directory(...workloads: readonly KnownWorkload[]): WorkloadIndex {
  const index = new WorkloadIndex();
  index.replace(workloads);
  return index;
}

const at = (index: WorkloadIndex, ip: string, port = 0): string | undefined =>
  index.byAddress(parseIpAddress(ip)!, port)?.id;

test("by its uid, with the scheme and without it, dots in its name or not", () => {
  const index = directory(workload("web-1.shop"), workload("web.with.dots.shop"));
  expect(index.byUid("kubernetes://web-1.shop")?.id).toBe("web-1.shop");
  expect(index.byUid("web-1.shop")?.id).toBe("web-1.shop");
  expect(index.byUid("kubernetes://web.with.dots.shop")?.id).toBe("web.with.dots.shop");
  for (const other of ["", "web-1", "kubernetes://", "kubernetes://web-1.other", "constructor"])
    expect(index.byUid(other)).toBeUndefined();
});

test("by each of its addresses, however they are written", () => {
  const index = directory(workload("web-1.shop", { addresses: ["10.0.0.1", "2001:DB8::1"] }));
  expect(at(index, "10.0.0.1")).toBe("web-1.shop");
  expect(at(index, "::ffff:10.0.0.1")).toBe("web-1.shop");
  expect(at(index, "2001:db8:0::1")).toBe("web-1.shop");
  expect(at(index, "10.0.0.1", 1)).toBe("web-1.shop");
  expect(at(index, "10.0.0.2")).toBeUndefined();
  const twice = ["10.0.0.1", "::ffff:10.0.0.1"];
  expect(at(directory(workload("a.shop", { addresses: twice })), "10.0.0.1")).toBe("a.shop");
});

test("of a workload's addresses and ports so many count", () => {
  const addresses = Array.from({ length: 65 }, (_, i) => `10.0.0.${i}`);
  const ports = addresses.map((_, i) => 9_000 + i);
  const index = directory(
    workload("a.shop", { addresses, ports }),
    workload("b.shop", { addresses: ["10.0.0.0"] }),
  );
  expect([at(index, "10.0.0.63"), at(index, "10.0.0.64")]).toEqual(["a.shop", undefined]);
  const byPort = [9_063, 9_064].map((port) => at(index, "10.0.0.0", port));
  expect(byPort).toEqual(["a.shop", undefined]);
});

test("of several at one address the port tells; without one nobody is named", () => {
  const here = { addresses: ["127.0.0.1"] };
  const index = directory(
    workload("a.shop", { ...here, ports: [80, 81] }),
    workload("b.shop", { ...here, ports: [82, 83] }),
    workload("c.shop", { ...here, ports: [83] }),
  );
  const ports = [0, 80, 81, 82, 83, 84];
  expect(ports.map((port) => at(index, "127.0.0.1", port))).toEqual([
    ...[undefined, "a.shop", "a.shop", "b.shop", undefined, undefined],
  ]);
});

test("a host name is no address, and the first of two with one id counts", () => {
  const index = directory(
    workload("a.shop", { addresses: ["db.example", "", "10.0.0.300"] }),
    workload("a.shop", { addresses: ["10.0.0.1"] }),
    workload("", { addresses: ["10.0.0.2"] }),
  );
  expect(index.size).toBe(1);
  expect([at(index, "10.0.0.1"), at(index, "10.0.0.2")]).toEqual([undefined, undefined]);
});

test("what is replaced is gone, all at once", () => {
  const index = directory(workload("a.shop", { addresses: ["10.0.0.1"] }));
  index.replace([workload("b.shop", { addresses: ["10.0.0.2"] })]);
  expect([index.byUid("a.shop"), at(index, "10.0.0.1")]).toEqual([undefined, undefined]);
  expect(at(index, "10.0.0.2")).toBe("b.shop");
});

test("there is an end to what it holds", () => {
  const index = new WorkloadIndex();
  index.replace(Array.from({ length: KNOWN_WORKLOADS_MAX + 5 }, (_, i) => workload(`w${i}.shop`)));
  expect(index.size).toBe(KNOWN_WORKLOADS_MAX);
});
