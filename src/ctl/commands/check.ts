/** `mesh ctl check`: the whole mesh at a glance, grouped, with a hint for each thing amiss. */
import {
  ConfigProblem_Severity,
  type ListProblemsResponse,
  type ListProxiesResponse,
  type ListServicesResponse,
  ProxyStatus_Sync as Sync,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { MESH_VERSION } from "../../core/version.ts";
import { call, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT } from "../command.ts";
import { managerFlags } from "../flag.ts";
import type { ManagerArguments } from "../manager-access.ts";
import { jsonText } from "../output/document.ts";
import { shortHost } from "../output/rule-summary.ts";
import { harmless } from "../terminal.ts";

interface Check {
  readonly group: string;
  readonly what: string;
  readonly result: "ok" | "warning" | "failed";
  /** What to do about it. */
  readonly hint: string;
}

export const checkCommand = defineCtlCommand({
  args: {
    output: {
      type: "enum",
      alias: "o",
      options: ["table", "json", "short"],
      description: "How to print; short shows only what is wrong",
    },
    ...managerFlags,
  },
  details: "Changes nothing. Exits with 1 if something failed, 3 if no manager answers.",
  examples: [
    ["mesh ctl check", "is everything well?"],
    ["mesh ctl check -o short", "only what is not"],
  ],
  async run(args, context) {
    const { checks, reached } = await gather(args, context);
    const failed = checks.some(({ result }) => result === "failed");
    if (args.output === "json") context.io.stdout(jsonText({ ok: !failed, checks }));
    else print(checks, args.output === "short", context);
    if (!reached) return EXIT.unreachable;
    return failed ? EXIT.failed : EXIT.ok;
  },
});

async function gather(
  args: ManagerArguments,
  { io }: CommandContext,
): Promise<{ readonly checks: readonly Check[]; readonly reached: boolean }> {
  const manager = managerAt(args, io);
  try {
    const { version } = await call(manager, manager.status.getVersion({}));
    const checks = [
      passed("Manager", `answers at ${manager.url}`),
      sameVersion("manager", version),
    ];
    const [problems, services, proxies] = await Promise.all([
      call(manager, manager.status.listProblems({})),
      call(manager, manager.status.listServices({})),
      call(manager, manager.status.listProxies({})),
    ]);
    checks.push(...checkRules(problems), ...checkServices(services), ...checkProxies(proxies));
    return { checks, reached: true };
  } catch (error) {
    if (!(error instanceof CtlError)) throw error;
    const { message, hint } = error;
    const unreachable = error.exitCode === EXIT.unreachable;
    return {
      checks: [{ group: "Manager", what: message, result: "failed", hint }],
      reached: !unreachable,
    };
  }
}

/** Watched files that were edited badly, rules that do nothing, versions that nobody runs. */
function checkRules({ problems }: ListProblemsResponse): readonly Check[] {
  if (problems.length === 0) return [passed("Rules", "nothing is wrong with them")];
  return problems.map(({ severity, position, path, message, suggestion }): Check => {
    const place = [position?.file, position?.line || undefined, position?.column || undefined];
    const what = [place.filter(Boolean).join(":"), path, message].filter((part) => part !== "");
    const isError = severity === ConfigProblem_Severity.ERROR;
    return {
      group: "Rules",
      what: what.join(": "),
      result: isError ? "failed" : "warning",
      hint: suggestion || (isError ? "its last good form, if it had one, stays in force" : ""),
    };
  });
}

function checkServices({ services }: ListServicesResponse): readonly Check[] {
  if (services.length === 0) {
    const hint = "`mesh proxy --service NAME -- CMD` registers one";
    return [{ group: "Services", what: "there are none yet", result: "warning", hint }];
  }
  return services.map(({ host, instances }): Check => {
    const healthy = instances.filter((instance) => instance.healthy).length;
    const name = shortHost(host);
    if (instances.length === 0)
      return {
        group: "Services",
        what: `${name} has no instances`,
        result: "warning",
        hint: "calls are answered 503 no-healthy-upstream until one is registered",
      };
    const what = `${name}: ${healthy} of ${instances.length} instances healthy`;
    if (healthy === instances.length) return passed("Services", what);
    return {
      group: "Services",
      what,
      result: healthy === 0 ? "failed" : "warning",
      hint: `mesh ctl services ${host.split(".")[0]} shows which`,
    };
  });
}

function checkProxies({ proxies }: ListProxiesResponse): readonly Check[] {
  if (proxies.length === 0) {
    const hint = "`mesh proxy --service NAME -- CMD` starts one";
    return [{ group: "Proxies", what: "none is connected", result: "warning", hint }];
  }
  const synced = proxies.filter(({ sync }) => sync === Sync.SYNCED);
  const checks: Check[] = [];
  if (synced.length > 0)
    checks.push(passed("Proxies", `${synced.length} of ${proxies.length} run on the latest rules`));
  for (const proxy of proxies) {
    if (proxy.sync === Sync.SYNCED) continue;
    const rejected = proxy.sync === Sync.REJECTED;
    checks.push({
      group: "Proxies",
      what: `${proxy.nodeId} ${rejected ? "rejected its configuration" : "has not caught up yet"}`,
      result: rejected ? "failed" : "warning",
      hint: rejected ? proxy.problems.join("; ") : "if it stays so, read the proxy's log",
    });
  }
  for (const version of new Set(proxies.map(({ meshVersion }) => meshVersion)))
    if (version !== MESH_VERSION)
      checks.push({ ...sameVersion("a proxy", version), group: "Proxies" });
  return checks;
}

function sameVersion(who: string, version: string): Check {
  if (version === MESH_VERSION) return passed("Manager", `${who} and this binary are ${version}`);
  const what = `${who} is ${version}, this binary ${MESH_VERSION}`;
  return {
    group: "Manager",
    what,
    result: "warning",
    hint: "mixed versions work; update both soon",
  };
}

function passed(group: string, what: string): Check {
  return { group, what, result: "ok", hint: "" };
}

function print(checks: readonly Check[], short: boolean, { io, paint }: CommandContext): void {
  const marks = {
    ok: paint.green("✓"),
    warning: paint.yellow("!"),
    failed: paint.red("✗"),
  } as const;
  for (const [group, all] of Map.groupBy(checks, (check) => check.group)) {
    const shown = short ? all.filter(({ result }) => result !== "ok") : all;
    if (shown.length === 0) continue;
    io.stdout(`${paint.bold(group)}\n`);
    for (const { result, what, hint } of shown) {
      io.stdout(`  ${marks[result]} ${harmless(what)}\n`);
      if (hint !== "") io.stdout(`    ${paint.dim(harmless(hint))}\n`);
    }
  }
  const failed = checks.filter(({ result }) => result === "failed").length;
  const warnings = checks.filter(({ result }) => result === "warning").length;
  const parts = [
    failed > 0 ? paint.red(`${failed} failed`) : "",
    warnings > 0 ? paint.yellow(`${warnings} to look at`) : "",
  ].filter((part) => part !== "");
  if (parts.length > 0) io.stdout(`${parts.join(", ")}\n`);
  else io.stdout(`${paint.green("all is well")}\n`);
}
