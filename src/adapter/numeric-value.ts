/** Values of metrics as numbers. */
import type { TypedValue } from "../attribute/value.ts";

/** Durations in seconds; texts that are numbers. Undefined: it is none. */
export function numericValue(of: TypedValue | undefined): number | undefined {
  switch (of?.type) {
    case "INT64":
      return Number(of.value);
    case "DOUBLE":
      return of.value;
    case "DURATION":
      return Number(of.value) / 1e9;
    case "STRING": {
      const plain = /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i.test(of.value);
      return plain && of.value.length <= 400 ? Number(of.value) : undefined;
    }
    default:
      return undefined;
  }
}
