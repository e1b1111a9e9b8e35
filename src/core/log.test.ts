/** One line an event, and nothing from outside can forge a line. */
import { expect, test } from "bun:test";
import { escapeControl, Log } from "./log.ts";

test("a line has time, level, subject, message and fields", () => {
  const lines: string[] = [];
  new Log("proxy", { level: "info" }, (line) => lines.push(line)).child("agent").warn("lost it", {
    manager: "127.0.0.1:15010",
    why: "no answer",
    tries: 3,
  });
  const [time, ...rest] = lines.join("").split(" ");
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  expect(rest.join(" ")).toBe(
    'warn proxy.agent lost it manager=127.0.0.1:15010 why="no answer" tries=3\n',
  );
});

test("lines below the level are not written, and children share the level", () => {
  const lines: string[] = [];
  const log = new Log("a", { level: "warn" }, (line) => lines.push(line));
  const child = log.child("b");
  child.info("no");
  log.level = "debug";
  child.debug("yes");
  expect(lines.length).toBe(1);
});

test("control characters in what a peer sent do not make a second line", () => {
  const lines: string[] = [];
  new Log("a", { level: "info" }, (line) => lines.push(line)).info("host\r\nforged", {
    host: "x\ny\u001b[31m",
  });
  expect(lines.join("").split("\n").length).toBe(2);
  expect(lines.join("")).toContain("host\\x0d\\x0aforged host=x\\x0ay\\x1b[31m");
  expect(escapeControl("é~\u0085")).toBe("é~\\x85");
});
