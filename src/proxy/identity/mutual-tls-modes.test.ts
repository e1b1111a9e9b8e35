/** What a port asks of callers: its own mode, or what its workload has. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { MutualTls_Mode as Mode, MutualTlsSchema } from "../../api/gen/mesh/v1/access_pb.ts";
import { type MutualTlsMode, MutualTlsModes } from "./mutual-tls-modes.ts";

const { STRICT, PERMISSIVE, DISABLE, UNSPECIFIED } = Mode;

type Row = readonly [mode: Mode, port: Mode | undefined, there: MutualTlsMode, rest: MutualTlsMode];
const rows: readonly Row[] = [
  [STRICT, undefined, "strict", "strict"],
  [STRICT, UNSPECIFIED, "strict", "strict"],
  [STRICT, PERMISSIVE, "permissive", "strict"],
  [STRICT, DISABLE, "disable", "strict"],
  [DISABLE, UNSPECIFIED, "disable", "disable"],
  [PERMISSIVE, STRICT, "strict", "permissive"],
  [UNSPECIFIED, STRICT, "strict", "permissive"],
  [UNSPECIFIED, undefined, "permissive", "permissive"],
];

test.each(rows)("mode %i, port %p: %s there, %s elsewhere", (mode, own, there, elsewhere) => {
  const ports = own === undefined ? {} : { 8080: own };
  const modes = new MutualTlsModes(create(MutualTlsSchema, { mode, ports }));
  expect([modes.at(8_080), modes.at(80)]).toEqual([there, elsewhere]);
});

test("nothing said is PERMISSIVE", () => {
  expect(new MutualTlsModes(undefined).at(80)).toBe("permissive");
});
