/** `mesh ctl services`: what exists, where it runs, and whether it answers. */
import type { InstanceStatus, ServiceStatus } from "../../api/gen/mesh/v1/config_pb.ts";
import { didYouMean } from "../../core/suggestion.ts";
import { call, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT } from "../command.ts";
import { managerFlags, outputFlags, watchFlags } from "../flag.ts";
import { jsonText, sourceText, yamlText } from "../output/document.ts";
import { shortHost } from "../output/rule-summary.ts";
import { labelsText, renderTable } from "../output/table.ts";
import { showWatched } from "../watch.ts";

export const servicesCommand = defineCtlCommand({
  args: {
    service: { type: "positional", required: false, description: "Only this, with its instances" },
    ...outputFlags,
    ...watchFlags,
    ...managerFlags,
  },
  examples: [
    ["mesh ctl services", "every service, with healthy instances by version"],
    ["mesh ctl services reviews", "the instances of one"],
    ["mesh ctl services -o wide --watch", "instances of all, redrawn when they change"],
  ],
  async run(args, context) {
    const manager = managerAt(args, context.io);
    return await showWatched(args.watch ?? false, context, async () => {
      const answer = await call(manager, manager.status.listServices({}));
      const services = pick(answer.services, args.service);
      const detailed = args.service !== undefined || args.output === "wide";
      return { text: await render(services, args.output, detailed, context), code: EXIT.ok };
    });
  },
});

function pick(services: readonly ServiceStatus[], name: string | undefined): ServiceStatus[] {
  const sorted = [...services].sort((a, b) => (a.host < b.host ? -1 : 1));
  if (name === undefined) return sorted;
  const found = sorted.filter(({ host }) => host === name || host.startsWith(`${name}.`));
  if (found.length > 0) return found;
  const names = sorted.flatMap(({ host }) => [host, host.split(".")[0]!]);
  throw new CtlError(`no service is called ${name}`, EXIT.failed, didYouMean(name, names));
}

async function render(
  services: readonly ServiceStatus[],
  output: string | undefined,
  detailed: boolean,
  { io, paint }: CommandContext,
): Promise<string> {
  let text = "";
  if (output === "json") text = jsonText({ items: services.map(serviceJson) });
  else if (output === "yaml") text = await yamlText({ items: services.map(serviceJson) });
  else if (output === "name" || output === "short")
    text = services.map(({ host }) => `${host}\n`).join("");
  else if (services.length === 0) {
    io.stderr("No services yet. `mesh proxy --service NAME -- CMD` registers one.\n");
  } else if (detailed) {
    const rows = services.flatMap((service) =>
      [...service.instances]
        .sort(byWorkload)
        .map((instance) => [
          shortHost(service.host),
          instance.workload || "-",
          `${instance.address}:${instance.port}`,
          labelsText(instance.labels),
          instance.healthy ? paint.green("healthy") : paint.red("unhealthy"),
          instance.leaseRemainingMs === 0 ? "-" : `${Math.ceil(instance.leaseRemainingMs / 1000)}s`,
        ]),
    );
    const headers = ["SERVICE", "WORKLOAD", "ADDRESS", "LABELS", "HEALTH", "LEASE"];
    text = renderTable(headers, rows, paint);
    for (const { host, instances } of services)
      if (instances.length === 0) text += `${shortHost(host)}: no instances\n`;
  } else {
    const rows = services.map((service) => [
      shortHost(service.host),
      service.ports.map(({ number, protocol }) => `${number}/${protocol}`).join(",") || "-",
      healthText(service.instances),
      versionsText(service.instances),
      service.registry,
      sourceText(service.source) || "-",
    ]);
    const headers = ["SERVICE", "PORTS", "HEALTHY", "VERSIONS", "REGISTRY", "SOURCE"];
    text = renderTable(headers, rows, paint);
  }
  return text;
}

function healthText(instances: readonly InstanceStatus[]): string {
  return `${instances.filter(({ healthy }) => healthy).length}/${instances.length}`;
}

/** "v1 2/2, v2 0/1" */
function versionsText(instances: readonly InstanceStatus[]): string {
  const versions = Map.groupBy(instances, ({ labels }) => labels.version ?? "");
  const texts = [...versions]
    .filter(([version]) => version !== "")
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([version, group]) => `${version} ${healthText(group)}`);
  return texts.join(", ") || "-";
}

function byWorkload(a: InstanceStatus, b: InstanceStatus): number {
  return a.workload < b.workload ? -1 : 1;
}

function serviceJson(service: ServiceStatus): Readonly<Record<string, unknown>> {
  return {
    host: service.host,
    registry: service.registry,
    address: service.address,
    source: sourceText(service.source),
    ports: service.ports.map(({ name, number, protocol }) => ({ name, number, protocol })),
    instances: [...service.instances].sort(byWorkload).map((instance) => ({
      workload: instance.workload,
      address: instance.address,
      port: instance.port,
      labels: instance.labels,
      healthy: instance.healthy,
      leaseRemainingMs: instance.leaseRemainingMs,
    })),
  };
}
