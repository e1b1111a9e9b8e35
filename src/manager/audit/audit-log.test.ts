/** The audit log: what is kept, how often, and for how long. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { AppliedObject_Change, ApplyResponseSchema } from "../../api/gen/mesh/v1/config_pb.ts";
import type { Caller } from "../../api/principal.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { auditChange } from "./audit-change.ts";
import { AuditLog, type AuditRecord, type AuditStore, auditEvent } from "./audit-log.ts";
import { MemoryAuditStore, SqliteAuditStore } from "./audit-store.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

const ANN: Caller = {
  principal: { kind: "person", name: "ann", role: "operator" },
  address: "10.0.0.7:51234",
};
const NOBODY: Caller = { principal: { kind: "anonymous", reason: "" }, address: "10.0.0.8:1" };

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "mesh-audit-"));
  closing.push(() => rmSync(path, { recursive: true }));
  return path;
}

const stores: readonly (readonly [name: string, open: () => AuditStore])[] = [
  ["in memory", () => new MemoryAuditStore({ changes: 300, refusals: 10 })],
  [
    "in a file",
    () => new SqliteAuditStore(join(directory(), "audit.db"), { changes: 300, refusals: 10 }),
  ],
];

function change(object: string) {
  return auditEvent(ANN, { action: "rule updated", object, detail: "", allowed: true });
}

function refusal(object: string, caller = NOBODY) {
  return auditEvent(caller, { action: "call refused", object, detail: "why", allowed: false });
}

describe.each(stores)("%s", (_, open) => {
  test("the newest come first, each with who, whence and when", () => {
    const clock = new VirtualClock(1_000);
    const audit = new AuditLog(open(), clock);
    closing.push(() => audit.close());
    audit.record(change("RouteRule/default/a"));
    clock.advance(5);
    audit.record(refusal("mesh.v1.ConfigService/Apply"));
    expect(audit.list(10)).toEqual([
      {
        ...{ timeMs: 1_005, who: "anonymous", address: "10.0.0.8:1", action: "call refused" },
        ...{ object: "mesh.v1.ConfigService/Apply", detail: "why", allowed: false },
      },
      {
        ...{ timeMs: 1_000, who: "ann", address: "10.0.0.7:51234", action: "rule updated" },
        ...{ object: "RouteRule/default/a", detail: "", allowed: true },
      },
    ]);
    expect(audit.list(1)).toHaveLength(1);
    expect(audit.counts).toEqual({ changes: 1, refusals: 1 });
  });

  test("there is room for so many; refusals displace no change", () => {
    const store = open();
    closing.push(() => store.close());
    const record = (i: number, allowed: boolean): AuditRecord => ({
      ...{ timeMs: i, who: "", address: "", action: "", object: String(i), detail: "", allowed },
    });
    for (let i = 0; i < 100; i++) store.append(record(i, true));
    for (let i = 0; i < 2_000; i++) store.append(record(i, false));
    const kept = (allowed: boolean) => store.list(9_999).filter((one) => one.allowed === allowed);
    expect(kept(true)).toHaveLength(100);
    expect(kept(false).length).toBeLessThanOrEqual(10 + 256);
    expect(kept(false)[0]?.object).toBe("1999");
    for (let i = 0; i < 2_000; i++) store.append(record(i, true));
    expect(kept(true).length).toBeLessThanOrEqual(300 + 256);
    expect(kept(true)[0]?.object).toBe("1999");
  });
});

test("a file remembers over a restart", () => {
  const path = join(directory(), "audit.db");
  const before = new AuditLog(new SqliteAuditStore(path), new VirtualClock());
  before.record(change("a"));
  before.close();
  const after = new AuditLog(new SqliteAuditStore(path), new VirtualClock());
  closing.push(() => after.close());
  expect(after.list(10).map(({ object }) => object)).toEqual(["a"]);
});

describe("refusals", () => {
  function log() {
    const clock = new VirtualClock();
    const audit = new AuditLog(new MemoryAuditStore(), clock);
    const shown = () => audit.list(1_000).map(({ object, detail }) => `${object}: ${detail}`);
    return { clock, audit, shown };
  }

  test("of one sort are kept once, and how many more there were", () => {
    const { clock, audit, shown } = log();
    for (let port = 1; port <= 5; port++)
      audit.record(refusal("x", { ...NOBODY, address: `10.0.0.8:${port}` }));
    audit.record(refusal("x", { ...NOBODY, address: "10.0.0.9:1" }));
    expect(shown()).toEqual(["x: why", "x: why"]);
    clock.advance(10_000);
    expect(shown()).toEqual(["x: why (4 times more)", "x: why", "x: why"]);
    audit.record(refusal("x"));
    clock.advance(10_000);
    expect(shown()).toHaveLength(4);
    expect(audit.counts.refusals).toBe(7);
    expect(clock.waiting).toBe(0);
  });

  test("of too many sorts are counted together", () => {
    const { clock, audit, shown } = log();
    for (let i = 0; i < 1_000; i++) audit.record(refusal(`x${i}`));
    expect(shown()).toHaveLength(200);
    clock.advance(10_000);
    expect(shown()[0]).toBe(": 800 more, of too many sorts to name");
    expect(shown()).toHaveLength(201);
  });

  test("under way are told at the end", () => {
    const { audit, shown, clock } = log();
    const told: string[] = [];
    const store: AuditStore = {
      append: ({ detail }) => void told.push(detail),
      list: () => [],
      close: () => {},
    };
    const ending = new AuditLog(store, clock);
    for (let i = 0; i < 3; i++) ending.record(refusal("x"));
    ending.close();
    expect(told).toEqual(["why", "why (2 times more)"]);
    expect([audit.counts.refusals, shown(), clock.waiting]).toEqual([0, [], 0]);
  });
});

test("texts from outside are cut", () => {
  const audit = new AuditLog(new MemoryAuditStore(), new VirtualClock());
  audit.record(refusal("x".repeat(10_000)));
  expect(audit.list(1)[0]?.object).toHaveLength(500);
});

test("an answer says what was changed", () => {
  const { CREATED, UPDATED, UNCHANGED, DELETED } = AppliedObject_Change;
  const names = [CREATED, UPDATED, UNCHANGED, DELETED].map((one, i) => {
    return { kind: "RouteRule", namespace: "default", name: `r${i}`, change: one, revision: 7n };
  });
  const response = create(ApplyResponseSchema, { objects: names });
  const said = (method: string) =>
    auditChange(method, response).map(({ action, object, detail }) => [action, object, detail]);
  expect(said("Apply")).toEqual([
    ["rule created", "RouteRule/default/r0", "revision 7"],
    ["rule updated", "RouteRule/default/r1", "revision 7"],
    ["rule deleted", "RouteRule/default/r3", "revision 7"],
  ]);
  expect(said("Rollback")[0]).toEqual([
    ...["rule created", "RouteRule/default/r0", "revision 7, by rollback"],
  ]);
  expect(said("List")).toEqual([]);
});
