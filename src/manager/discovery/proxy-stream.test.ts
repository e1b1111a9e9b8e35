/** One proxy's stream as a transcript: what it is offered, what it says, what it is sent. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import {
  AcknowledgementSchema,
  type ConfigUpdate,
  NodeSchema,
} from "../../api/gen/mesh/v1/discovery_pb.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { Catalog } from "../translate/catalog.ts";
import type { Resources } from "../translate/resource.ts";
import { ruleSetOf } from "../translate/rule-set.ts";
import { Translator } from "../translate/translator.ts";
import { ProxyStream } from "./proxy-stream.ts";

/** A mesh of so many services: each number is another version. */
function resources(services: number): Resources {
  const translator = new Translator("cluster.local");
  const list = Array.from({ length: services }, (_, i) => ({
    host: `s${i}.default.svc.cluster.local`,
    namespace: "default",
    addresses: [],
    ports: [{ name: "", number: 80, protocol: "HTTP" as const }],
    resolution: "STATIC" as const,
    external: false,
    registry: "local",
  }));
  const rules = ruleSetOf([], "cluster.local");
  translator.update({ rules, catalog: new Catalog(list, []) });
  return translator.resources({ service: "", namespace: "default", labels: {} });
}

function open(held?: Resources) {
  const clock = new VirtualClock();
  const node = create(NodeSchema, { id: "p.default" });
  const stream = new ProxyStream(node, held?.version ?? "", held, clock);
  const answer = (to: Resources, problems: string[] = [], activeVersion = "") =>
    stream.acknowledge(
      create(AcknowledgementSchema, { version: to.version, problems, activeVersion }),
    );
  /** What was sent by now, as "whole" or "from <version>"; undefined: nothing. */
  const sent = async (): Promise<string | undefined> => {
    const update = await Promise.race([stream.next(), nothing()]);
    if (update === undefined) return undefined;
    return update.baseVersion === "" ? "whole" : `from ${update.baseVersion}`;
  };
  return { clock, stream, answer, sent };
}

/** Later than everything that is already certain. */
async function nothing(): Promise<ConfigUpdate | undefined> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
  return undefined;
}

const [one, two, three] = [resources(1), resources(2), resources(3)];

test("the first is whole, the next a difference to what was acknowledged", async () => {
  const { stream, answer, sent } = open();
  stream.offer(one);
  expect(stream.sync).toBe("not-sent");
  expect(await sent()).toBe("whole");
  expect(stream.sync).toBe("stale");
  expect(answer(one)).toBe(true);
  expect(stream.sync).toBe("synced");
  stream.offer(two);
  expect(await sent()).toBe(`from ${one.version}`);
});

test("while an answer is out nothing is sent, and then only the latest", async () => {
  const { stream, answer, sent } = open();
  stream.offer(one);
  expect(await sent()).toBe("whole");
  stream.offer(two);
  stream.offer(three);
  expect(await sent()).toBeUndefined();
  answer(one);
  expect(await sent()).toBe(`from ${one.version}`);
  expect(stream.status.sentVersion).toBe(three.version);
  answer(three);
  stream.offer(three);
  expect(await sent()).toBeUndefined();
});

test("without an answer the next one comes after a while, and is whole", async () => {
  const { clock, stream, answer, sent } = open();
  stream.offer(one);
  await sent();
  answer(one);
  stream.offer(two);
  expect(await sent()).toBe(`from ${one.version}`);
  stream.offer(three);
  expect(await sent()).toBeUndefined();
  clock.advance(2_000);
  expect(await sent()).toBe("whole");
  expect(answer(two)).toBe(false);
});

test("after a rejection the next one is whole, and what runs is what the proxy says", async () => {
  const { stream, answer, sent } = open();
  stream.offer(one);
  await sent();
  answer(one);
  stream.offer(two);
  await sent();
  answer(two, ["no"], one.version);
  expect(stream.status).toMatchObject({
    sync: "rejected",
    problems: ["no"],
    activeVersion: one.version,
    sentVersion: two.version,
  });
  expect(await sent()).toBeUndefined();
  stream.offer(three);
  expect(await sent()).toBe("whole");
});

test("who holds a known version is sent the difference, or that there is none", async () => {
  const older = open(one);
  older.stream.offer(two);
  expect(await older.sent()).toBe(`from ${one.version}`);
  const current = open(two);
  current.stream.offer(two);
  expect(await current.sent()).toBe(`from ${two.version}`);
});

test("closing ends the wait and leaves no timer", async () => {
  const { clock, stream, sent } = open();
  stream.offer(one);
  await sent();
  const waiting = stream.next();
  stream.close();
  expect(await waiting).toBeUndefined();
  expect(clock.waiting).toBe(0);
});
