/** An access log, JSON, that writes to memory. */
import { systemClock } from "../core/clock.ts";
import { AccessLog } from "../telemetry/access-log.ts";

export interface AccessLogText {
  readonly accessLog: AccessLog;
  /** What has been written; all of it when the log is closed. */
  read(): string;
}

export function accessLogText(): AccessLogText {
  let text = "";
  const take = (bytes: Uint8Array): boolean => {
    text += Buffer.from(bytes).toString();
    return true;
  };
  const accessLog = new AccessLog({
    ...{ format: "json", clock: systemClock },
    sink: { write: (bytes, done) => done(take(bytes)), writeSync: take },
  });
  return { accessLog, read: () => text };
}
