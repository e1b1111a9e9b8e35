/** `mesh ctl proxies`: who is connected, and whether each runs on the latest configuration. */
import { type ProxyStatus, ProxyStatus_Sync as Sync } from "../../api/gen/mesh/v1/config_pb.ts";
import { call, managerAt } from "../client.ts";
import { type CommandContext, defineCtlCommand, EXIT } from "../command.ts";
import { managerFlags, outputFlags, watchFlags } from "../flag.ts";
import { isoTime, jsonText, yamlText } from "../output/document.ts";
import { shortHost } from "../output/rule-summary.ts";
import { ageText, labelsText, renderTable } from "../output/table.ts";
import { syncName } from "../proxy-reference.ts";
import { harmless } from "../terminal.ts";
import { showWatched } from "../watch.ts";

export const proxiesCommand = defineCtlCommand({
  args: { ...outputFlags, ...watchFlags, ...managerFlags },
  details:
    "SYNC is synced, stale (sent, not yet acknowledged), rejected (the proxy keeps its last\n" +
    "good version; its reasons are shown below the table) or not-sent.",
  examples: [
    ["mesh ctl proxies", "every proxy and its sync state"],
    ["mesh ctl proxies --watch", "redrawn when it changes"],
    ["mesh ctl proxies -o json", "for scripts"],
  ],
  async run(args, context) {
    const manager = managerAt(args, context.io);
    return await showWatched(args.watch ?? false, context, async () => {
      const { proxies } = await call(manager, manager.status.listProxies({}));
      const sorted = [...proxies].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
      const rejected = sorted.some(({ sync }) => sync === Sync.REJECTED);
      const code = rejected && !args.watch ? EXIT.failed : EXIT.ok;
      return { text: await render(sorted, args.output, context), code };
    });
  },
});

async function render(
  proxies: readonly ProxyStatus[],
  output: string | undefined,
  { io, paint }: CommandContext,
): Promise<string> {
  let text = "";
  if (output === "json") text = jsonText({ items: proxies.map(proxyJson) });
  else if (output === "yaml") text = await yamlText({ items: proxies.map(proxyJson) });
  else if (output === "name" || output === "short")
    text = proxies.map(({ nodeId }) => `${nodeId}\n`).join("");
  else if (proxies.length === 0) {
    io.stderr("No proxies are connected. `mesh proxy --service NAME -- CMD` starts one.\n");
  } else {
    const wide = output === "wide";
    const headers = ["PROXY", "SERVICE", "LABELS", "SYNC", "ACTIVE", "SENT", "MESH", "CONNECTED"];
    if (wide) headers.push("ADDRESS", "ADMIN");
    const nowMs = io.clock.wallMs();
    const rows = proxies.map((proxy) => {
      const mark = proxy.sync === Sync.SYNCED ? paint.green : paint.yellow;
      const row = [
        proxy.nodeId,
        shortHost(proxy.service) || "-",
        labelsText(proxy.labels),
        (proxy.sync === Sync.REJECTED ? paint.red : mark)(syncName(proxy.sync)),
        proxy.activeVersion || "-",
        proxy.sentVersion || "-",
        proxy.meshVersion || "-",
        ageText(Number(proxy.connectedMs), nowMs),
      ];
      if (wide) row.push(proxy.address || "-", proxy.adminAddress || "-");
      return row;
    });
    text = renderTable(headers, rows, paint) + harmless(rejectionsText(proxies, paint.red));
  }
  return text;
}

function rejectionsText(proxies: readonly ProxyStatus[], mark: (text: string) => string): string {
  return proxies
    .filter(({ problems }) => problems.length > 0)
    .map(({ nodeId, sentVersion, activeVersion, problems }) => {
      const kept = activeVersion === "" ? "has none" : `keeps ${activeVersion}`;
      const reasons = problems.map((problem) => `  ${problem}\n`).join("");
      return `\n${nodeId} ${mark("rejected")} ${sentVersion} and ${kept}:\n${reasons}`;
    })
    .join("");
}

function proxyJson(proxy: ProxyStatus): Readonly<Record<string, unknown>> {
  return {
    id: proxy.nodeId,
    service: proxy.service,
    namespace: proxy.namespace,
    labels: proxy.labels,
    address: proxy.address,
    adminAddress: proxy.adminAddress,
    meshVersion: proxy.meshVersion,
    sync: syncName(proxy.sync),
    sentVersion: proxy.sentVersion,
    activeVersion: proxy.activeVersion,
    problems: proxy.problems,
    connected: isoTime(proxy.connectedMs),
    acknowledged: isoTime(proxy.acknowledgedMs),
  };
}
