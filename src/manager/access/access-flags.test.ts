/** Whom the command line says to trust. */
import { expect, test } from "bun:test";
import { readLocalUsers, readRoles } from "./access-flags.ts";

const PASSWD = "root:x:0:0:root:/root:/bin/sh\nmesh:x:1337:1337::/:/bin/false\nbad:x::1::/:\n";

const users: readonly (readonly [text: string, uid: number | undefined])[] = [
  ["1337", 1337],
  ["mesh", 1337],
  ["root", 0],
  ["0", 0],
  ["mes", undefined],
  ["mesh:x", undefined],
  ["bad", undefined],
  ["", undefined],
  ["-1", undefined],
  ["99999999999", undefined],
];

test.each(users)("--local-user %j is user %p", (text, uid) => {
  const { value, problems } = readLocalUsers([text], () => PASSWD);
  expect(value).toEqual(uid === undefined ? [] : [uid]);
  expect(problems).toHaveLength(uid === undefined ? 1 : 0);
});

const ANN = "spiffe://cluster.local/ns/ops/sa/ann";

test.each([
  [`${ANN}=operator`, true],
  [`${ANN}=viewer`, true],
  [`${ANN}=root`, false],
  [`${ANN}=`, false],
  [ANN, false],
  ["ann=admin", false],
  ["=admin", false],
  [`${ANN}=x=admin`, false],
] as const)("--role %s: %p", (text, isGood) => {
  const { value, problems } = readRoles([text]);
  expect([value.size, problems.length]).toEqual(isGood ? [1, 0] : [0, 1]);
  if (isGood) expect(value.get(ANN)).toBe(text.endsWith("viewer") ? "viewer" : "operator");
});
