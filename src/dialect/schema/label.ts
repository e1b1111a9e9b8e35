/** Maps of labels: what may be written in them differs by release. */
import type { Complaint } from "../../model/validate-name.ts";
import { type Entry, mapOf, type Reader } from "./message.ts";
import { text } from "./scalar.ts";

export function labelsChecked(
  check: (key: string, value: string) => Complaint,
): Reader<readonly Entry<string>[]> {
  return (place) => {
    const entries = mapOf(text)(place);
    for (const { key, value, at } of entries ?? []) at.check(check(key, value));
    return entries;
  };
}
