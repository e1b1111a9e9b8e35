/** Pages that change something: all by POST. */
import { text } from "../../api/admin-page.ts";
import { loggingPages } from "../../api/logging-page.ts";
import type { Page } from "./page.ts";

export const controlPages: readonly Page[] = [
  ...loggingPages,
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
