/**
 * What is in deploy/ says what this binary understands, and asks for no more rights than it needs:
 * the flags of each unit and container, whose they run as, and what systemd itself has to say.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { parseManagerFlags } from "../manager/flags.ts";
import { parseMixerFlags } from "../mixer/flags.ts";
import { parseProxyFlags } from "../proxy/flags.ts";
import { meshBinary, root } from "./process.ts";

const deploy = join(root, "deploy");
const units = readdirSync(join(deploy, "systemd")).filter((name) => name.endsWith(".service"));
const manifests = readdirSync(join(deploy, "kubernetes"));

/** Of a unit: the last value of each key, as systemd has it; ExecStart's words. */
function unitOf(name: string): ReadonlyMap<string, string> {
  const lines = readFileSync(join(deploy, "systemd", name), "utf8").split("\n");
  const pairs = lines.flatMap((line) => {
    const at = line.indexOf("=");
    return line.startsWith("#") || at === -1
      ? []
      : [[line.slice(0, at), line.slice(at + 1)] as const];
  });
  return new Map(pairs);
}

/** Undefined: it is understood. */
function misunderstanding(words: readonly string[]): unknown {
  const [mode, ...flags] = words;
  if (mode === "ctl") {
    const { exitCode, stderr } = Bun.spawnSync([meshBinary, ...words, "--help"]);
    return exitCode === 0 ? undefined : stderr.toString();
  }
  const environment = { STATE_DIRECTORY: "/var/lib/mesh" };
  const parsed = parsers[mode as keyof typeof parsers](flags, environment);
  return parsed.at === "flags" ? undefined : parsed;
}

const parsers = {
  manager: parseManagerFlags,
  mixer: (argv: readonly string[], environment: Readonly<Record<string, string>>) =>
    parseMixerFlags(argv, environment, "host"),
  proxy: parseProxyFlags,
};

describe.each(units)("%s", (name) => {
  const unit = unitOf(name);
  const isCapture = name.startsWith("mesh-capture");

  test("runs a command that this binary understands", () => {
    const words = unit.get("ExecStart")!.split(" ");
    expect(words[0]).toBe("/usr/local/bin/mesh");
    const flags = words.slice(1).map((word) => word.replace("%i", "a").replace("%d", "/run/a"));
    const whole = flags.flatMap((word) => {
      if (word === "$FLAGS") return ["--service", "reviews.default", "--app-port", "9080"];
      return word === "$CAPTURE" ? ["-b", "9080"] : [word];
    });
    expect(misunderstanding(whole)).toBeUndefined();
  });

  test("gains nothing, inherits nothing, and has no capability that it does not need", () => {
    expect(unit.get("NoNewPrivileges")).toBe("yes");
    expect(unit.get("UnsetEnvironment")).toContain("BUN_OPTIONS");
    expect(unit.get("AmbientCapabilities")).toBe("");
    expect(unit.get("CapabilityBoundingSet")).toBe(isCapture ? "CAP_NET_ADMIN CAP_NET_RAW" : "");
    const isNobody = unit.get("DynamicUser") === "yes" || (unit.get("User") ?? "root") !== "root";
    expect(isNobody).toBe(!isCapture);
  });

  test.skipIf(Bun.which("systemd-analyze") === null)("is nothing that systemd wonders at", () => {
    const path = join(deploy, "systemd", name);
    const { stderr } = Bun.spawnSync(["systemd-analyze", "verify", "--man=no", path]);
    const said = stderr.toString().split("\n");
    // Nobody has installed it on this machine.
    expect(said.filter((line) => line !== "" && !line.includes("is not executable"))).toEqual([]);
  });
});

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly securityContext: {
    readonly allowPrivilegeEscalation: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
}

interface PodSpec {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly securityContext: { readonly runAsNonRoot: boolean };
}

describe.each(manifests)("%s", (name) => {
  const text = readFileSync(join(deploy, "kubernetes", name), "utf8");
  const documents = parseAllDocuments(text);
  const pods = documents.flatMap((document): PodSpec[] => {
    const { spec } = document.toJS() as {
      readonly spec?: { readonly template?: { spec: PodSpec } };
    };
    return spec?.template === undefined ? [] : [spec.template.spec];
  });

  test("is YAML without a fault, and has a pod", () => {
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    expect(pods.length).toBe(1);
  });

  test("its containers of ours are started with flags that this binary understands", () => {
    for (const { containers = [], initContainers = [] } of pods)
      for (const { image, args = [] } of [...containers, ...initContainers]) {
        if (!image.startsWith("mesh")) continue;
        const known = args.map((arg) =>
          arg.replace("$(POD_NAMESPACE)", "default").replace("$(POD_IP)", "10.0.0.1"),
        );
        expect(misunderstanding(known)).toBeUndefined();
      }
  });

  test("none of them gains rights; one that captures has two capabilities, others none", () => {
    for (const { containers = [], initContainers = [], securityContext } of pods) {
      expect(securityContext.runAsNonRoot).toBe(initContainers.length === 0);
      for (const { name: of, securityContext: own } of [...containers, ...initContainers]) {
        expect(own.allowPrivilegeEscalation).toBe(false);
        expect(own.capabilities.drop).toEqual(["ALL"]);
        const added = of === "mesh-capture" ? ["NET_ADMIN", "NET_RAW"] : [];
        expect(own.capabilities.add ?? []).toEqual(added);
      }
    }
  });
});
