/** An update that was packed arrives as the update that it was. */
import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ConfigUpdateSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { isBinary, UpdatePacker } from "./packed-update.ts";

function whole(version: string) {
  return create(ConfigUpdateSchema, {
    config: { version, virtualHosts: [{ name: "a:80", domains: ["a", "a:80"] }] },
  });
}

test("whole ones and differences, first and again", () => {
  const packer = new UpdatePacker();
  const difference = create(ConfigUpdateSchema, {
    baseVersion: "1",
    config: { version: "2" },
    removedClusters: ["c"],
  });
  for (const update of [whole("1"), whole("1"), difference, whole("2"), whole("1")]) {
    const bytes = toBinary(ConfigUpdateSchema, packer.pack(update));
    expect(bytes).toEqual(toBinary(ConfigUpdateSchema, update));
    expect(fromBinary(ConfigUpdateSchema, bytes)).toEqual(update);
  }
});

test("more versions than are kept are still right", () => {
  const packer = new UpdatePacker();
  const versions = Array.from({ length: 40 }, (_, i) => `v${i}`);
  for (const version of [...versions, ...versions]) {
    const bytes = toBinary(ConfigUpdateSchema, packer.pack(whole(version)));
    expect(fromBinary(ConfigUpdateSchema, bytes).config?.version).toBe(version);
  }
});

test("JSON is not packed", () => {
  const types = ["application/grpc", "application/grpc+proto", "application/connect+proto"];
  expect(types.every(isBinary)).toBe(true);
  expect(["application/connect+json", "application/grpc+json", null].some(isBinary)).toBe(false);
});
