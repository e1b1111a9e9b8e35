/** `mesh ctl version`: this binary, the manager, and how many proxies run which version. */
import { MESH_VERSION } from "../../core/version.ts";
import { defineCtlCommand, EXIT } from "../command.ts";
import { managerFlags } from "../flag.ts";

export const versionCommand = defineCtlCommand({
  args: {
    client: { type: "boolean", description: "Only this binary; asks nobody" },
    output: {
      type: "enum",
      alias: "o",
      options: ["table", "json"],
      description: "How to print",
    },
    ...managerFlags,
  },
  examples: [
    ["mesh ctl version", "client, manager and proxies"],
    ["mesh ctl version --client -ojson", "for scripts"],
  ],
  async run(args, { io }) {
    const json = args.output === "json";
    if (args.client) {
      io.stdout(
        json
          ? `${JSON.stringify({ client: MESH_VERSION }, null, 2)}\n`
          : `client:  ${MESH_VERSION}\n`,
      );
      return EXIT.ok;
    }
    if (!json) io.stdout(`client:  ${MESH_VERSION} (bun ${Bun.version})\n`);
    const { call, managerAt } = await import("../client.ts");
    const manager = managerAt(args, io);
    const [{ version, storeRevision }, { proxies }] = await call(
      manager,
      Promise.all([manager.status.getVersion({}), manager.status.listProxies({})]),
    );
    const counts = new Map<string, number>();
    for (const { meshVersion } of proxies)
      counts.set(meshVersion, (counts.get(meshVersion) ?? 0) + 1);
    const sorted = [...counts].sort(([a], [b]) => a.localeCompare(b));
    if (json) {
      const document = {
        client: MESH_VERSION,
        manager: { address: manager.url, version, revision: Number(storeRevision) },
        proxies: Object.fromEntries(sorted),
      };
      io.stdout(`${JSON.stringify(document, null, 2)}\n`);
      return EXIT.ok;
    }
    io.stdout(`manager: ${version} at ${manager.url}, rules at revision ${storeRevision}\n`);
    const list = sorted.map(([v, n]) => `${v} (${n})`).join(", ");
    io.stdout(`proxies: ${list === "" ? "none connected" : list}\n`);
    return EXIT.ok;
  },
});
