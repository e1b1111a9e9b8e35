/** google.protobuf.Timestamp and Duration to and from the forms that values have in memory. */
import { create } from "@bufbuild/protobuf";
import {
  type Duration,
  DurationSchema,
  type Timestamp as TimestampMessage,
  TimestampSchema,
} from "@bufbuild/protobuf/wkt";
import { type Int64, int64Max, int64Min, type Timestamp, toInt64 } from "./value.ts";

const SECOND_NS = 1_000_000_000n;
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z. */
const [secondsMin, secondsMax] = [-62_135_596_800n, 253_402_300_799n];

/** Undefined outside of the years 1 to 9999, or with nanoseconds that are none. */
export function timestampOfMessage({ seconds, nanos }: TimestampMessage): Timestamp | undefined {
  if (seconds < secondsMin || seconds > secondsMax || nanos < 0 || nanos > 999_999_999)
    return undefined;
  return { seconds: Number(seconds), nanos };
}

export function messageOfTimestamp({ seconds, nanos }: Timestamp): TimestampMessage {
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos });
}

/** Undefined beyond 64 bits of nanoseconds, or where seconds and nanos have different signs. */
export function durationOfMessage({ seconds, nanos }: Duration): Int64 | undefined {
  if (nanos < -999_999_999 || nanos > 999_999_999) return undefined;
  if ((seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0)) return undefined;
  const ns = seconds * SECOND_NS + BigInt(nanos);
  return ns < int64Min || ns > int64Max ? undefined : toInt64(ns);
}

export function messageOfDuration(ns: Int64): Duration {
  const value = BigInt(ns);
  return create(DurationSchema, { seconds: value / SECOND_NS, nanos: Number(value % SECOND_NS) });
}
