/** Who gets which of a predecessor's sockets. */
import { expect, test } from "bun:test";
import { dealSockets, socketName } from "./inherited-sockets.ts";

/** Copies have the number of the original and 100 more. */
function dealt(sockets: Readonly<Record<string, number>>, workers: number) {
  const listeners = new Map(Object.entries(sockets));
  const used = new Set<string>();
  const inheritance = {
    listeners,
    use(name: string): number | undefined {
      if (listeners.has(name)) used.add(name);
      return listeners.get(name);
    },
  };
  const each = dealSockets(inheritance, workers, (fd) => fd + 100);
  return { each: each.map((map) => Object.fromEntries(map)), used: [...used] };
}

test("each worker has its predecessor's", () => {
  const sockets = { outbound: 3, inbound: 4, "outbound#1": 5, "inbound#1": 6 };
  expect(dealt(sockets, 2).each).toEqual([
    { outbound: 3, inbound: 4 },
    { outbound: 5, inbound: 6 },
  ]);
});

test("one more than before shares the first one's", () => {
  expect(dealt({ outbound: 3, "outbound#1": 5 }, 4).each).toEqual([
    { outbound: 3 },
    { outbound: 5 },
    { outbound: 103 },
    { outbound: 103 },
  ]);
  expect(dealt({ outbound: 3 }, 2).each).toEqual([{ outbound: 3 }, { outbound: 103 }]);
});

test("what is left over is not used, and so is closed with the predecessor", () => {
  const { each, used } = dealt({ outbound: 3, "outbound#1": 5, "outbound#2": 7 }, 2);
  expect(each).toEqual([{ outbound: 3 }, { outbound: 5 }]);
  expect(used).toEqual(["outbound", "outbound#1"]);
});

test("a listener that only some have is there for those", () => {
  const sockets = { outbound: 3, "outbound#1": 5, "tcp 127.0.0.1:3306 db:3306": 9 };
  expect(dealt(sockets, 2).each[1]).toEqual({ outbound: 5, "tcp 127.0.0.1:3306 db:3306": 109 });
});

test("where a socket cannot be copied, none is dealt", () => {
  const listeners = new Map([["outbound", 3]]);
  const use = (name: string) => listeners.get(name);
  expect(dealSockets({ listeners, use }, 2, () => -1)[1]).toEqual(new Map());
});

test("the first worker's sockets have the names that one thread's have", () => {
  expect([socketName("outbound", 0), socketName("outbound", 2)]).toEqual([
    "outbound",
    "outbound#2",
  ]);
});
