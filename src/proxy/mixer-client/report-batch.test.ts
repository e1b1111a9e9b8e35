/** When reports are sent, and that a batch says what its entries said. */
import { expect, test } from "bun:test";
import {
  type ReportRequest,
  ReportRequest_RepeatedAttributesSemantics as Semantics,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { decodeAttributes } from "../../attribute/attribute-message.ts";
import type { WireValue } from "../../attribute/bag.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { ReportBatch } from "./report-batch.ts";

function batch(entriesMax = 100): {
  clock: VirtualClock;
  sent: ReportRequest[];
  batch: ReportBatch;
} {
  const clock = new VirtualClock();
  const sent: ReportRequest[] = [];
  const options = {
    clock,
    entriesMax,
    delayMs: 1_000,
    send: (one: ReportRequest) => sent.push(one),
  };
  return { clock, sent, batch: new ReportBatch(options) };
}

const text = (value: string): WireValue => ({ type: "STRING", value });

test("a batch goes when it is full", () => {
  const { batch: reports, sent } = batch(3);
  for (let i = 0; i < 10; i++) reports.add([]);
  expect(sent.map(({ attributes }) => attributes.length)).toEqual([3, 3, 3]);
  reports.flush();
  expect(sent.length).toBe(4);
});

test("or one second after its first entry; an empty one never", () => {
  const { batch: reports, sent, clock } = batch();
  clock.advance(5_000);
  expect(sent.length).toBe(0);
  reports.add([]);
  clock.advance(900);
  reports.add([]);
  clock.advance(99);
  expect(sent.length).toBe(0);
  clock.advance(1);
  expect(sent.map(({ attributes }) => attributes.length)).toEqual([2]);
  clock.advance(5_000);
  reports.flush();
  expect([sent.length, clock.waiting]).toEqual([1, 0]);
});

test("entries stand alone and share their words", () => {
  const { batch: reports, sent } = batch();
  const entries = [
    new Map([
      ["request.path", text("/a")],
      ["my.attribute", text("own")],
    ]),
    new Map([
      ["request.path", text("/b")],
      ["my.attribute", text("own")],
    ]),
    new Map([["request.path", text("/a")]]),
  ];
  for (const entry of entries) reports.add(entry);
  reports.flush();
  const [request] = sent;
  expect(request?.repeatedAttributesSemantics).toBe(Semantics.INDEPENDENT_ENCODING);
  expect(request?.defaultWords).toEqual(["/a", "my.attribute", "own", "/b"]);
  expect(request?.globalWordCount).toBe(222);
  const decoded = request?.attributes.map((message) => {
    const values = decodeAttributes(message, { words: request.defaultWords, global: globalWords });
    return values.ok ? values.values : undefined;
  });
  expect(decoded).toEqual(entries);
});

test("a batch stays below what a mixer takes", () => {
  const { batch: reports, sent } = batch(1_000_000);
  for (let i = 0; i < 60; i++) reports.add([["request.path", text(`/${i}${"x".repeat(10_000)}`)]]);
  expect(sent.length).toBe(1);
  expect(sent[0]?.attributes.length).toBe(53);
});
