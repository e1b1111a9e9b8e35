/** Known names are found in any case; nothing else is taken for one of them. */
import { expect, test } from "bun:test";
import { octets } from "../testing/http1-stream.ts";
import { FieldId, fieldIdCount, fieldIdOf, fieldName } from "./field-id.ts";
import { isIdempotent, MethodId, methodIdOf, methodNames } from "./method.ts";

const idOf = (name: string): number => fieldIdOf(octets(`-${name}-`), 1, name.length + 1);

test("every known name is found, in any case", () => {
  const ids = Object.values(FieldId).filter((id) => id !== FieldId.other);
  expect(ids.length).toBe(fieldIdCount - 1);
  for (const id of ids) {
    expect(idOf(fieldName(id))).toBe(id);
    expect(idOf(fieldName(id).toUpperCase())).toBe(id);
  }
  expect(fieldName(FieldId.transferEncoding)).toBe("transfer-encoding");
  expect(fieldName(FieldId.acceptEncoding)).toBe("accept-encoding");
});

test("a name that differs in one octet is not the known one", () => {
  for (let id = 1; id < fieldIdCount; id++) {
    const name = fieldName(id as FieldId);
    for (let i = 0; i < name.length; i++) {
      for (const octet of ["_", "~", "^", "|", "%", name[i] === "x" ? "y" : "x"]) {
        expect(idOf(name.slice(0, i) + octet + name.slice(i + 1))).toBe(FieldId.other);
      }
    }
    expect(idOf(`${name}s`)).toBe(FieldId.other);
    expect(idOf(name.slice(1))).not.toBe(id);
  }
  expect(idOf("")).toBe(FieldId.other);
});

test("methods are found by their exact letters", () => {
  const idOfMethod = (name: string): MethodId => methodIdOf(octets(name), 0, name.length);
  for (const [id, name] of methodNames.entries()) {
    if (name === "") continue;
    expect(idOfMethod(name)).toBe(id as MethodId);
    expect(idOfMethod(name.toLowerCase())).toBe(MethodId.other);
    expect(idOfMethod(`${name}X`)).toBe(MethodId.other);
  }
  expect(idOfMethod("BREW")).toBe(MethodId.other);
  expect([MethodId.get, MethodId.delete, MethodId.post].map(isIdempotent)).toEqual([
    true,
    true,
    false,
  ]);
});
