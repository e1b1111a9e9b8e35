/** What a join token says of labels, and what says nothing. */
import { expect, test } from "bun:test";
import { rootPinOf } from "./root-pin.ts";
import {
  encodeTokenLabels,
  labelsOfToken,
  TOKEN_LABELS_MAX,
  withoutTokenLabels,
  withTokenLabels,
} from "./token-labels.ts";

const pin = "p".repeat(43);
const token = `mesh1.3f9a61c2b7d0.${"s".repeat(43)}.${pin}`;
const part = (json: string): string => Buffer.from(json).toString("base64url");

test("labels of a token are its last part, and the root is named before it", () => {
  const labels = { version: "v1", app: "reviews", empty: "" };
  const labelled = `${token}.${encodeTokenLabels(labels)}`;
  expect(labelsOfToken(`${labelled}\n`)).toEqual(labels);
  expect([rootPinOf(labelled), rootPinOf(token)]).toEqual([pin, pin]);
  expect(encodeTokenLabels({})).toBe("");
  expect(labelsOfToken(token)).toEqual({});
  expect(withTokenLabels(token, labels)).toBe(labelled);
  expect(withTokenLabels(token, {})).toBe(token);
  expect(withoutTokenLabels(`${labelled}\n`)).toBe(token);
  for (const other of [token, `${token}.`, `${labelled}.x`, `${labelled}${"x".repeat(4_096)}`, ""])
    expect(withoutTokenLabels(other)).toBe(other);
});

test.each([
  "",
  `${token}.`,
  `${token}.!`,
  `${token}.${part("{")}`,
  `${token}.${part("{}")}`,
  `${token}.${part("null")}`,
  `${token}.${part('[["a"]]')}`,
  `${token}.${part('[["a","b","c"]]')}`,
  `${token}.${part('[["a",1]]')}`,
  `${token}.${part('["ab"]')}`,
  `${token}.${part('[["a","b"]]')}.more`,
  `${token.replace("mesh1", "mesh-access")}.${part('[["a","b"]]')}`,
  `${token}.${part(JSON.stringify([["a", "x".repeat(TOKEN_LABELS_MAX)]]))}`,
])("%p names no labels", (text) => {
  expect(labelsOfToken(text)).toEqual({});
});
