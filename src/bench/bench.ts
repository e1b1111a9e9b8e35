/**
 * bun run bench [h1] [--rounds N] [--seconds N] [--connections 1,8,64,256] [--only mesh,haproxy]
 *
 * Benchmarks beside real peers, as ratios in one run. Build first: the binary is what is measured.
 */
import { parseArgs } from "node:util";
import { benchH1 } from "./h1.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    connections: { type: "string", default: "1,8,64,256" },
    only: { type: "string", default: "" },
  },
});
const what = positionals.length === 0 ? ["h1"] : positionals;
for (const name of what) {
  if (name !== "h1") {
    console.error(`bench: there is no benchmark "${name}"; there is: h1`);
    process.exit(2);
  }
  await benchH1({
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    connections: values.connections.split(",").map(Number),
    only: values.only === "" ? [] : values.only.split(","),
  });
}
