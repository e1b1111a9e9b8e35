/**
 * /tap: every exchange as it ends, as server-sent events, for as long as somebody listens. A
 * listener who does not read loses lines, and is told how many; the traffic never waits.
 */
import { text } from "../../api/admin-page.ts";
import { lineFilter } from "./line-filter.ts";
import type { Page } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";

const WAITING_MAX = 1000;
const TAPS_MAX = 16;

export const tapPage: Page = {
  path: "/tap",
  method: "GET",
  about: "exchanges as they end, as JSON events (?filter=REGEX&max=N); curl -N",
  answer: tap,
};

function tap(view: ProxyView, query: URLSearchParams): Response {
  const isShown = lineFilter(query);
  if (typeof isShown === "string") return text(isShown, 400);
  const max = Number(query.get("max") ?? Number.POSITIVE_INFINITY);
  if (Number.isNaN(max) || max < 1) return text("max: a number from 1", 400);
  if (view.taps() >= TAPS_MAX) return text(`no more than ${TAPS_MAX} listeners`, 503);
  let stop = (): void => {};
  const events = new ReadableStream<string>(
    {
      start(controller) {
        let left = max;
        let lost = 0;
        // A first line, so that a listener knows that it listens.
        controller.enqueue(": listening\n\n");
        stop = view.tap((line) => {
          if (!isShown(line)) return;
          if ((controller.desiredSize ?? 0) <= 0) {
            lost++;
            return;
          }
          if (lost > 0) controller.enqueue(`: ${lost} lost\n\n`);
          lost = 0;
          controller.enqueue(`data: ${line}\n\n`);
          if (--left > 0) return;
          stop();
          controller.close();
        });
      },
      cancel: () => stop(),
    },
    { highWaterMark: WAITING_MAX },
  );
  const headers = { "content-type": "text/event-stream", "cache-control": "no-cache" };
  return new Response(events.pipeThrough(new TextEncoderStream()), { headers });
}
