/** `mesh ctl iptables`: rules that lead an application's traffic through its proxy. */
import { networkInterfaces } from "node:os";
import { readResolverConfig } from "../../io/resolver-config.ts";
import type { CaptureOptions } from "../capture/capture-options.ts";
import { routeCommands } from "../capture/capture-routes.ts";
import { captureRules } from "../capture/capture-rules.ts";
import {
  applyCapture,
  type CommandResult,
  familiesOf,
  removeCapture,
  type Tool,
} from "../capture/installer.ts";
import { installScript } from "../capture/iptables-text.ts";
import { nftInstallScript } from "../capture/nft-text.ts";
import { parseCapture, type Surroundings } from "../capture/parse-capture.ts";
import { defineCtlCommand, EXIT, usageError } from "../command.ts";
import { renderProblems } from "../output/problem-text.ts";

const PORTS = "PORT,…";

export const iptablesCommand = defineCtlCommand({
  args: {
    apply: { type: "boolean", description: "Put the rules in force, in place of former ones" },
    remove: {
      type: "boolean",
      alias: ["cleanup-only"],
      description: "Take away all rules of mesh, of iptables and nftables",
    },
    nft: { type: "boolean", description: "For nftables, in a table of its own" },
    "proxy-port": {
      type: "string",
      alias: ["p", "envoy-port"],
      valueHint: "PORT",
      description: "Where outgoing connections are sent (15001)",
    },
    "inbound-port": {
      type: "string",
      alias: ["z", "inbound-capture-port"],
      valueHint: "PORT",
      description: "Where incoming connections are sent (15006)",
    },
    "proxy-uid": {
      type: "string",
      alias: "u",
      valueHint: "USER,…",
      description: "Users that the proxy runs as, which are not captured (1337)",
    },
    "proxy-gid": {
      type: "string",
      alias: "g",
      valueHint: "GROUP,…",
      description: "Groups likewise (the numbers of -u)",
    },
    mode: {
      type: "enum",
      alias: ["m", "istio-inbound-interception-mode"],
      options: ["REDIRECT", "TPROXY"],
      description: "How incoming connections are captured (REDIRECT)",
    },
    "outbound-cidrs": {
      type: "string",
      alias: ["i", "istio-service-cidr"],
      valueHint: "CIDR,…",
      description: 'Destinations to capture; "" captures none (*)',
    },
    "outbound-cidrs-exclude": {
      type: "string",
      alias: ["x", "istio-service-exclude-cidr"],
      valueHint: "CIDR,…",
      description: "Destinations to leave alone",
    },
    "outbound-ports": {
      type: "string",
      alias: ["q", "istio-outbound-ports"],
      valueHint: PORTS,
      description: "Ports to capture whatever the destination is",
    },
    "outbound-ports-exclude": {
      type: "string",
      alias: ["o", "istio-local-outbound-ports-exclude"],
      valueHint: PORTS,
      description: "Ports of destinations to leave alone",
    },
    "inbound-ports": {
      type: "string",
      alias: ["b", "istio-inbound-ports"],
      valueHint: PORTS,
      description: 'Own ports to capture; "" captures none (*)',
    },
    "inbound-ports-exclude": {
      type: "string",
      alias: ["d", "istio-local-exclude-ports"],
      valueHint: PORTS,
      description: "Own ports to leave alone, beside the proxy's own (22)",
    },
    "redirect-dns": {
      type: "boolean",
      description: "Capture DNS to the resolvers of /etc/resolv.conf",
    },
    "capture-all-dns": { type: "boolean", description: "Capture DNS to any resolver" },
    "dns-port": {
      type: "string",
      valueHint: "PORT",
      description: "Where the proxy answers DNS (15053)",
    },
    ipv6: {
      type: "enum",
      options: ["auto", "on", "off"],
      description: "Rules for IPv6 too (auto: where this machine has an address)",
    },
    "exclude-interfaces": {
      type: "string",
      alias: ["c", "istio-exclude-interfaces"],
      valueHint: "NAME,…",
      description: "Interfaces to leave alone",
    },
    "virtual-interfaces": {
      type: "string",
      alias: ["k", "kube-virt-interfaces"],
      valueHint: "NAME,…",
      description: "What comes in here from virtual machines is treated as outgoing",
    },
    "owner-groups": {
      type: "string",
      valueHint: "GROUP,…",
      description: "Capture only what processes of these groups send (*)",
    },
    "owner-groups-exclude": {
      type: "string",
      valueHint: "GROUP,…",
      description: "Leave alone what processes of these groups send",
    },
    "drop-invalid": { type: "boolean", description: "Drop packets that belong to no connection" },
    "loopback-cidr": {
      type: "string",
      valueHint: "CIDR",
      description: "Destinations that mean this machine itself (127.0.0.1/32)",
    },
    "tunnel-port": {
      type: "string",
      alias: ["e", "inbound-tunnel-port"],
      valueHint: "PORT",
      description: "Own port that is never captured (15008)",
    },
    "tproxy-mark": {
      type: "string",
      alias: ["t", "istio-inbound-tproxy-mark"],
      valueHint: "MARK",
      description: "Mark of packets for TPROXY; the next one is used too (1337)",
    },
    "tproxy-route-table": {
      type: "string",
      alias: ["r", "istio-inbound-tproxy-route-table"],
      valueHint: "TABLE",
      description: "Table of routes for TPROXY (133)",
    },
  },
  details:
    "Prints the rules as a shell script, unless told to --apply or --remove them, for which one\n" +
    "must be root. All traffic is captured but the proxy's own, which is told by its user, what\n" +
    "stays on loopback, and what is excluded. Rules of others are not touched.",
  examples: [
    ["mesh ctl iptables", "what would be done"],
    ["mesh ctl iptables --apply -u mesh", "capture all but what user mesh sends"],
    ["mesh ctl iptables --apply -i 10.0.0.0/8 -x 10.9.0.0/16 -b 8080", "only these"],
    ["mesh ctl iptables --apply --redirect-dns", "names of the mesh resolve"],
    ["mesh ctl iptables --remove", "as if it had never been"],
  ],
  async run(args, { io, paint }) {
    if (args.apply && args.remove) throw usageError("--apply and --remove contradict each other");
    const parsed = parseCapture(args, surroundings());
    if (!("mode" in parsed)) {
      io.stderr(renderProblems(parsed, paint));
      return EXIT.usage;
    }
    const tool: Tool = args.nft ? "nft" : "iptables";
    if (args.remove) {
      const found = await removeCapture(parsed, runProgram);
      io.stderr(found ? "removed all rules of mesh\n" : "there are no rules of mesh\n");
    } else if (args.apply) {
      await applyCapture(parsed, tool, runProgram);
      io.stderr(
        `${paint.green("ok")}  rules are in force; remove them: mesh ctl iptables --remove\n`,
      );
    } else {
      io.stdout(shellScript(parsed, tool));
    }
    return EXIT.ok;
  },
});

/** What --apply does, where no rules of mesh are yet. */
function shellScript(options: CaptureOptions, tool: Tool): string {
  const families = familiesOf(options);
  const rules = families.map((family) => captureRules(options, family));
  const texts =
    tool === "nft"
      ? [["nft -f -", nftInstallScript(rules)] as const]
      : rules.map((set) => {
          const program = set.family === "ipv4" ? "iptables-restore" : "ip6tables-restore";
          return [`${program} --noflush`, installScript(set)] as const;
        });
  return [
    "#!/bin/sh -e\n",
    ...texts.map(([program, text]) => `${program} <<'END'\n${text}END\n`),
    ...families.flatMap((family) =>
      routeCommands(options, family).map((command) => `${command.join(" ")}\n`),
    ),
  ].join("");
}

function surroundings(): Surroundings {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return {
    nameservers: readResolverConfig().nameservers,
    hasIpv6: addresses.some(
      ({ family, internal, address }) =>
        family === "IPv6" && !internal && !/^fe[89ab]/i.test(address),
    ),
  };
}

async function runProgram(command: readonly string[], input = ""): Promise<CommandResult> {
  try {
    const child = Bun.spawn([...command], {
      stdin: new TextEncoder().encode(input),
      stdout: "pipe",
      stderr: "pipe",
      // Messages are looked at.
      env: { ...process.env, LC_ALL: "C" },
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code: await child.exited, out, err };
  } catch {
    return { code: undefined, out: "", err: "" };
  }
}
