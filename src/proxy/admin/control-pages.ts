/** Pages that change something: all by POST. */
import type { Level } from "../../core/log.ts";
import { type Page, text } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];

export const controlPages: readonly Page[] = [
  { path: "/logging", method: "GET", about: "the level of the process's log", answer: level },
  {
    path: "/logging",
    method: "POST",
    about: "changes it: ?level=debug|info|warn|error",
    answer: setLevel,
  },
  {
    path: "/healthcheck/fail",
    method: "POST",
    about: "says not ready from now on",
    answer: (view) => {
      view.failHealthcheck(true);
      return text("OK");
    },
  },
  {
    path: "/healthcheck/ok",
    method: "POST",
    about: "undoes /healthcheck/fail",
    answer: (view) => {
      view.failHealthcheck(false);
      return text("OK");
    },
  },
  {
    path: "/drain",
    method: "POST",
    about: "leaves the mesh: no new callers; keeps running",
    answer: (view) => {
      view.drain();
      return text("draining", 202);
    },
  },
  {
    path: "/quitquitquit",
    method: "POST",
    about: "drains and ends, as SIGTERM does",
    answer: (view) => {
      view.quit();
      return text("ending", 202);
    },
  },
];

function level(view: ProxyView): Response {
  return text(`level: ${view.log.level}`);
}

function setLevel(view: ProxyView, query: URLSearchParams): Response {
  const wanted = LEVELS.find((known) => known === query.get("level"));
  if (wanted === undefined) return text(`level: one of ${LEVELS.join(", ")}`, 400);
  view.log.level = wanted;
  return level(view);
}
