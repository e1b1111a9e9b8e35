/** Whose tokens are spent: each counter has its own, once the mixer has told whose it is. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { CheckResponse_QuotaResultSchema } from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { MutableBag } from "../../attribute/bag.ts";
import { encodeReferences, type Reference } from "../../attribute/reference.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { messageOfDuration } from "../../attribute/well-known-time.ts";
import { exhaustedMessage, isGranted, QuotaCache, type QuotaFetch } from "./quota-cache.ts";

const vocabulary = new Vocabulary([["source.user", "STRING"]]);
const byUser: readonly Reference[] = [{ name: "source.user", condition: "EXACT" }];

function request(user: string): MutableBag {
  const bag = new MutableBag(vocabulary);
  bag.set("source.user", { type: "STRING", value: user });
  return bag;
}

function result(granted: number, references = byUser, code = 0) {
  return create(CheckResponse_QuotaResultSchema, {
    grantedAmount: BigInt(granted),
    validDuration: messageOfDuration(60_000_000_000),
    referencedAttributes: encodeReferences(references, 222),
    status: { code },
  });
}

class Bench {
  readonly asked: { fetch: QuotaFetch; request: MutableBag }[] = [];
  readonly told: (boolean | undefined)[] = [];
  nowMs = 0;
  readonly cache: QuotaCache;

  constructor(entriesMax = 100) {
    this.cache = new QuotaCache({
      ...{ vocabulary, entriesMax, optimistic: false, closedMs: 100 },
      ask: (fetch, about) => this.asked.push({ fetch, request: about as MutableBag }),
    });
  }

  take(user: string, quota = "calls"): string {
    const need = { quota, amount: 1 };
    return this.cache.take(need, request(user), this.nowMs, (granted) => this.told.push(granted));
  }

  answer(granted: number, references = byUser): void {
    const { fetch, request: about } = this.asked.shift()!;
    fetch.answered(result(granted, references), about, this.nowMs);
  }
}

test("each user has tokens of their own", () => {
  const bench = new Bench();
  expect(bench.take("ann")).toBe("waits");
  bench.answer(10);
  expect(bench.take("ann")).toBe("granted");
  expect(bench.take("bob")).toBe("waits");
  bench.answer(0);
  expect(bench.told).toEqual([true, false]);
  expect([bench.take("bob"), bench.take("ann")]).toEqual(["denied", "granted"]);
  expect(bench.cache.size).toBe(2);
});

test("quotas do not share", () => {
  const bench = new Bench();
  bench.take("ann", "calls");
  bench.answer(10);
  expect([bench.take("ann", "bytes"), bench.take("ann", "calls")]).toEqual(["waits", "granted"]);
});

test("while it is not known whose counter it is, it is everybody's", () => {
  const bench = new Bench();
  const unknown: readonly Reference[] = [{ name: "x.y", condition: "EXACT" }];
  bench.take("ann");
  bench.answer(10, unknown);
  expect([bench.take("bob"), bench.cache.size]).toEqual(["granted", 0]);
});

test("the counter used longest ago makes room, and one unused for ten minutes goes", () => {
  const bench = new Bench(2);
  for (const user of ["ann", "bob", "cid"]) {
    bench.take(user);
    bench.answer(10);
  }
  expect(bench.cache.size).toBe(2);
  bench.nowMs = 600_001;
  bench.take("dan");
  expect(bench.cache.size).toBe(1);
});

test("asked with the request itself: granted, or nobody could count", () => {
  const undecided = [result(1), result(0), result(0, byUser, 14), undefined].map(isGranted);
  expect(undecided).toEqual([true, false, true, false]);
  expect(exhaustedMessage(["a", "b"])).toBe("Quota is exhausted for: a,b");
});
