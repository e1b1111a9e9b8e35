/** noop: takes everything, says yes to all of it and keeps nothing. For tests and dry runs. */
import { message } from "../dialect/schema/message.ts";
import { type LocalHandler, localAdapter } from "../policy/adapter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { checkOk, quotaGranted, reported } from "../policy/result.ts";
import type { TemplateName } from "../policy/template.ts";

const fields = message({});

const handler: LocalHandler = {
  check: () => checkOk,
  allocate: (_, { amount }) => quotaGranted(Math.max(0, amount), 0),
  report: () => reported,
  close() {},
};

const templates: readonly TemplateName[] = [
  "checknothing",
  "listentry",
  "authorization",
  "apikey",
  "quota",
  "metric",
  "logentry",
  "reportnothing",
  "tracespan",
  "edge",
];

export const noop = localAdapter<object>({
  name: "noop",
  templates,
  read: (place) => fields(orEmpty(place)),
  open: () => handler,
});
