/** Timestamps as RFC 3339 writes them, to the nanosecond. */
import type { Timestamp } from "./value.ts";

const form = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;

/** Undefined where the text names no point in time; any offset, 60 is no second. */
export function parseTimestamp(text: string): Timestamp | undefined {
  const match = text.length > 64 ? null : form.exec(text);
  if (match === null) return undefined;
  const at = (group: number): number => Number(match[group] ?? 0);
  const [month, day, hour, minute, second] = [at(2), at(3), at(4), at(5), at(6)];
  if (hour > 23 || minute > 59 || second > 59 || at(9) > 24 || at(10) > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(at(1), month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const offset = (match[8] === "-" ? -1 : 1) * (at(9) * 3600 + at(10) * 60);
  const seconds = date.getTime() / 1000 + hour * 3600 + minute * 60 + second - offset;
  return { seconds, nanos: Number((match[7] ?? "").slice(0, 9).padEnd(9, "0")) };
}

/** In UTC, with as many digits of the second as it needs: "2015-01-02T15:04:35.5Z". */
export function formatTimestamp({ seconds, nanos }: Timestamp): string {
  const text = new Date(seconds * 1000).toISOString().slice(0, -5);
  const fraction = nanos === 0 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  return `${text}${fraction}Z`;
}

/** Negative, 0 or positive. */
export function compareTimestamps(a: Timestamp, b: Timestamp): number {
  return a.seconds === b.seconds ? a.nanos - b.nanos : a.seconds - b.seconds;
}
