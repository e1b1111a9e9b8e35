/** What the log says of destinations that the mesh does not know. */
import { expect, test } from "bun:test";
import { Log } from "../../core/log.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { UnknownHosts } from "./unknown-hosts.ts";

function logged() {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const log = new Log("proxy", { level: "info" }, (line) => {
    lines.push(line.trim().replace(/^\S+ /, ""));
  });
  return { clock, lines, hosts: new UnknownHosts(log, clock) };
}

test("each is named once, with what became of it", () => {
  const { hosts, lines } = logged();
  hosts.note("198.51.100.7:443", "passed on", "api.example");
  hosts.note("198.51.100.7:443", "passed on", "api.example");
  hosts.note("198.51.100.8:25", "refused");
  expect(lines).toEqual([
    "info proxy passed on: a destination that the mesh does not know " +
      "host=198.51.100.7:443 server_name=api.example",
    "info proxy refused: a destination that the mesh does not know host=198.51.100.8:25",
  ]);
});

test("again after an hour, or when it becomes of it something else", () => {
  const { hosts, lines, clock } = logged();
  hosts.note("a:1", "passed on");
  clock.advance(3_599_000);
  hosts.note("a:1", "passed on");
  expect(lines).toHaveLength(1);
  hosts.note("a:1", "refused");
  expect(lines).toHaveLength(2);
  clock.advance(1_000);
  hosts.note("a:1", "passed on");
  expect(lines).toHaveLength(3);
});

test("no more than ten a second, and the next line says how many were left out", () => {
  const { hosts, lines, clock } = logged();
  for (let i = 0; i < 15; i++) hosts.note(`a:${i}`, "refused");
  expect(lines).toHaveLength(10);
  clock.advance(1_000);
  hosts.note("b:1", "refused");
  expect(lines.at(-1)).toEndWith("host=b:1 left_out=5");
});

test("the oldest is forgotten when there are too many", () => {
  const { hosts, lines, clock } = logged();
  for (let i = 0; i < 1_030; i++) {
    clock.advance(200);
    hosts.note(`a:${i}`, "refused");
  }
  hosts.note("a:1029", "refused");
  expect(lines).toHaveLength(1_030);
  clock.advance(1_000);
  hosts.note("a:0", "refused");
  expect(lines).toHaveLength(1_031);
});
