/** Tells one entry to the standard stream that the command line names. */
import { openLocal } from "../testing/adapter-environment.ts";
import { stdio } from "./stdio.ts";

const handler = openLocal(stdio, { logStream: process.argv[2] });
handler.report!([
  { template: "logentry", name: "log.logentry.default", severity: "warn", variables: {} },
]);
handler.close();
