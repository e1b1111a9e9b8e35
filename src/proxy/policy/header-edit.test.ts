/** What is changed in the fields of a message, and what of it the sender cannot keep. */
import { expect, test } from "bun:test";
import type { HeaderChange } from "../../policy/verdict.ts";
import { head } from "../../testing/snapshot-sample.ts";
import { HeaderEdits } from "./header-edit.ts";
import { rewriteRequest } from "./request-rewrite.ts";

type Change = readonly [operation: HeaderChange["operation"], name: string, value?: string];

/** The fields, without Host. */
function edited(fields: readonly string[], ...changes: readonly Change[]): string[] {
  const edits = new HeaderEdits().add(
    changes.map(([operation, name, value = ""]) => ({ operation, name, value })),
  );
  const text = Buffer.from(rewriteRequest(head("GET /", ...fields), edits)).toString();
  return text
    .trimEnd()
    .split("\r\n")
    .slice(1)
    .filter((line) => !line.startsWith("Host:"));
}

// biome-ignore format: a table
const rows: readonly (readonly [
  what: string, fields: readonly string[], changes: readonly Change[], after: readonly string[],
])[] = [
  ["replaced",               ["X-User: a", "x-user: b"], [["replace", "X-User", "c"]],
    ["x-user: c"]],
  ["beside it",              ["x-user: a"], [["append", "x-user", "c"]],
    ["x-user: a", "x-user: c"]],
  ["removed",                ["x-user: a", "x-b: 1"], [["remove", "x-user"]], ["x-b: 1"]],
  ["removed, then said",     ["x-user: a"], [["remove", "x-user"], ["append", "x-user", "c"]],
    ["x-user: c"]],
  ["one like it goes too",   ["x_user: a", "X_USER: b", "x-user: c"], [["replace", "x-user", "d"]],
    ["x-user: d"]],
  ["likewise the other way", ["x-user: a"], [["replace", "x_user", "d"]], ["x_user: d"]],
  ["others stay",            ["x-users: a", "xuser: b", "x.user: c"], [["remove", "x-user"]],
    ["x-users: a", "xuser: b", "x.user: c"]],
  ["a value of two lines",   ["x-user: forged"], [["replace", "x-user", "a\r\nx-admin: 1"]], []],
  ["one with a NUL",         ["x-user: forged"], [["replace", "x-user", "a\0"]], []],
  ["a bad one beside",       ["x-user: a"], [["append", "x-user", "a\nb"]], ["x-user: a"]],
  ["a name of two lines",    ["a: b"], [["replace", "x\r\ny", "1"]], ["a: b"]],
  ["what frames messages",   ["a: b"], [["replace", "content-length", "9"],
    ["replace", "transfer-encoding", "chunked"], ["replace", "connection", "a"]], ["a: b"]],
];

test.each(rows)("a field is changed: %s", (_, fields, changes, after) => {
  expect(edited(fields, ...changes)).toEqual([...after]);
});
