/** The pages of an admin port that show and change how much the process's log tells. */
import type { Level, Log } from "../core/log.ts";
import { type AdminPage, text } from "./admin-page.ts";

export interface LogView {
  readonly log: Log;
}

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];

export const loggingPages: readonly AdminPage<LogView>[] = [
  { path: "/logging", method: "GET", about: "the level of the process's log", answer: level },
  {
    path: "/logging",
    method: "POST",
    about: "changes it: ?level=debug|info|warn|error",
    answer: setLevel,
  },
];

function level(view: LogView): Response {
  return text(`level: ${view.log.level}`);
}

function setLevel(view: LogView, query: URLSearchParams): Response {
  const wanted = LEVELS.find((known) => known === query.get("level"));
  if (wanted === undefined) return text(`level: one of ${LEVELS.join(", ")}`, 400);
  view.log.level = wanted;
  return level(view);
}
