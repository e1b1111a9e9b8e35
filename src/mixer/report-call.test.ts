/** What is reported to the mixer, many exchanges at once, in both encodings. */
import { afterEach, expect, test } from "bun:test";
import { Code } from "@connectrpc/connect";
import * as pb from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import {
  closing,
  countRequests,
  entry,
  fault,
  metricsOf,
  mixerWith,
  report,
} from "../testing/mixer-calls.ts";

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test("what all report is one metric of the mesh, on the mixer's own port", async () => {
  const { mixer } = mixerWith(countRequests);
  await report(mixer, {
    attributes: [entry("a", 1), entry("b", 2), entry("a", 3)],
    repeatedAttributesSemantics: pb.ReportRequest_RepeatedAttributesSemantics.INDEPENDENT_ENCODING,
  });
  await report(mixer, { attributes: [entry("a", 10)] });
  const metrics = await metricsOf(mixer);
  expect(metrics).toContain('istio_requests_total{user="a"} 14');
  expect(metrics).toContain('istio_requests_total{user="b"} 2');
  expect(metrics).toContain("mixer_report_entries_total 4");
});

test("a delta changes what is different from the entry before it", async () => {
  const { mixer } = mixerWith(countRequests);
  const attributes = [entry("a", 1), entry(undefined, 2), entry("b", undefined)];
  await report(mixer, { attributes });
  const metrics = await metricsOf(mixer);
  expect(metrics).toContain('istio_requests_total{user="a"} 3');
  expect(metrics).toContain('istio_requests_total{user="b"} 2');
});

test("entries without words of their own have those of the report", async () => {
  const { mixer } = mixerWith(countRequests);
  const bare = { strings: { 6: -1 }, int64s: { 23: 5n } };
  await report(mixer, {
    attributes: [bare, { ...bare, words: ["own"] }],
    defaultWords: ["default"],
    repeatedAttributesSemantics: pb.ReportRequest_RepeatedAttributesSemantics.INDEPENDENT_ENCODING,
  });
  const metrics = await metricsOf(mixer);
  expect(metrics).toContain('istio_requests_total{user="default"} 5');
  expect(metrics).toContain('istio_requests_total{user="own"} 5');
});

test("a bad delta hinders no other entry, and is told as UNKNOWN at the end", async () => {
  const { mixer } = mixerWith(countRequests);
  const bad = { strings: { 6: -7 } };
  const told = await fault(report(mixer, { attributes: [entry("a", 1), bad, entry("b", 2)] }));
  expect(told).toEqual([
    Code.Unknown,
    "entry 1: attribute index -7 is not defined in the available dictionaries",
  ]);
  const metrics = await metricsOf(mixer);
  expect(metrics).toContain('istio_requests_total{user="a"} 1');
  expect(metrics).toContain('istio_requests_total{user="b"} 2');
});

test("a word of a megabyte that every entry stands for is not written down for each", async () => {
  const { mixer } = mixerWith(countRequests);
  const bare = { strings: { 6: -1 }, int64s: { 23: 5n } };
  const request = {
    attributes: new Array<object>(1_000).fill(bare),
    defaultWords: ["x".repeat(1_000_000)],
    repeatedAttributesSemantics: pb.ReportRequest_RepeatedAttributesSemantics.INDEPENDENT_ENCODING,
  };
  expect(await fault(report(mixer, request))).toEqual([
    Code.Unknown,
    "entry 16 and those after it: too-much-text",
  ]);
});

test("deltas cost what they say, not what they build upon", async () => {
  const { mixer } = mixerWith(countRequests);
  const bools = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [-1 - i, true]));
  const words = Array.from({ length: 1_000 }, (_, i) => `word.${i}`);
  const run = async (entries: number): Promise<number> => {
    const first = { bools, words, int64s: { 23: 1n } };
    const attributes = [first, ...new Array<object>(entries).fill(entry("a", 1))];
    const startMs = performance.now();
    await report(mixer, { attributes });
    return performance.now() - startMs;
  };
  let [few, many] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < 12 || (i < 100 && many / few >= 8); i++) {
    few = Math.min(few, await run(1_000));
    many = Math.min(many, await run(4_000));
  }
  expect(many / few).toBeLessThan(8);
});

test("an empty report is fine; one of more entries than anybody has is not", async () => {
  const { mixer } = mixerWith("");
  await report(mixer, {});
  const attributes = new Array<object>(10_001).fill({});
  expect(await fault(report(mixer, { attributes }))).toEqual([
    Code.InvalidArgument,
    "a report has at most 10000 entries",
  ]);
});
