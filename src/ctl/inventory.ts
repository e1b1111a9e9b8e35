/**
 * Every command of `mesh ctl`, in the order in which help shows them. A command's own module is
 * loaded when it is called, so that starting costs the same however many there are.
 */
import { type CommandEntry, HIDDEN } from "./command.ts";

const RULES = "Rules";
const STATE = "State of the mesh";
const ACCESS = "Identity and access";
const OTHER = "Other";
export const groups: readonly string[] = [RULES, STATE, ACCESS, OTHER];

export const commands: readonly CommandEntry[] = [
  {
    name: "apply",
    aliases: [],
    group: RULES,
    summary: "Create or update rules from files",
    load: async () => (await import("./commands/apply.ts")).applyCommand,
  },
  {
    name: "create",
    aliases: [],
    group: RULES,
    summary: "Create rules that do not exist yet",
    load: async () => (await import("./commands/create.ts")).createCommand,
  },
  {
    name: "replace",
    aliases: [],
    group: RULES,
    summary: "Replace rules that exist",
    load: async () => (await import("./commands/replace.ts")).replaceCommand,
  },
  {
    name: "get",
    aliases: [],
    group: RULES,
    summary: "Show rules of a kind, or one as it was written",
    load: async () => (await import("./commands/get.ts")).getCommand,
  },
  {
    name: "list",
    aliases: ["ls"],
    group: RULES,
    summary: "Show all rules",
    load: async () => (await import("./commands/get.ts")).listCommand,
  },
  {
    name: "delete",
    aliases: ["rm"],
    group: RULES,
    summary: "Delete rules by name or by file",
    load: async () => (await import("./commands/delete.ts")).deleteCommand,
  },
  {
    name: "validate",
    aliases: ["lint"],
    group: RULES,
    summary: "Check rule files without a manager",
    load: async () => (await import("./commands/validate.ts")).validateCommand,
  },
  {
    name: "expr",
    aliases: [],
    group: RULES,
    summary: "Evaluate an expression of policy on attributes",
    load: async () => (await import("./commands/expr.ts")).exprCommand,
  },
  {
    name: "diff",
    aliases: [],
    group: RULES,
    summary: "Show what apply would change",
    load: async () => (await import("./commands/diff.ts")).diffCommand,
  },
  {
    name: "history",
    aliases: [],
    group: RULES,
    summary: "Show earlier forms of a rule",
    load: async () => (await import("./commands/history.ts")).historyCommand,
  },
  {
    name: "rollback",
    aliases: [],
    group: RULES,
    summary: "Put an earlier form of a rule back",
    load: async () => (await import("./commands/history.ts")).rollbackCommand,
  },
  {
    name: "services",
    aliases: ["svc"],
    group: STATE,
    summary: "Show services and their instances",
    load: async () => (await import("./commands/services.ts")).servicesCommand,
  },
  {
    name: "proxies",
    aliases: ["proxy-status", "ps"],
    group: STATE,
    summary: "Show proxies and whether they run on the latest configuration",
    load: async () => (await import("./commands/proxies.ts")).proxiesCommand,
  },
  {
    name: "config",
    aliases: ["proxy-config", "pc"],
    group: STATE,
    summary: "Show what one proxy runs on, and which file each part came from",
    load: async () => (await import("./commands/config.ts")).configCommand,
  },
  {
    name: "explain",
    aliases: [],
    group: STATE,
    summary: "Explain a rule of policy, or why a request was refused",
    load: async () => (await import("./commands/explain.ts")).explainCommand,
  },
  {
    name: "authz",
    aliases: [],
    group: STATE,
    summary: "Say whether somebody may call a service, without calling it",
    load: async () => (await import("./commands/authz.ts")).authzCommand,
  },
  {
    name: "check",
    aliases: ["status"],
    group: STATE,
    summary: "Check the whole mesh, with a hint for each thing that is wrong",
    load: async () => (await import("./commands/check.ts")).checkCommand,
  },
  {
    name: "mixer",
    aliases: ["mixc"],
    group: STATE,
    summary: "Ask a mixer whether a request may pass, or report one to it",
    load: async () => (await import("./commands/mixer.ts")).mixerCommand,
  },
  {
    name: "certs",
    aliases: ["certificates"],
    group: ACCESS,
    summary: "Show who signs certificates, what was issued, or what one proxy has",
    load: async () => (await import("./commands/certs.ts")).certsCommand,
  },
  {
    name: "token",
    aliases: [],
    group: ACCESS,
    summary: "Make, list or revoke tokens by which workloads come to their first certificate",
    load: async () => (await import("./commands/token.ts")).tokenCommand,
  },
  {
    name: "access-token",
    aliases: [],
    group: ACCESS,
    summary: "Make, list or revoke tokens by which people and scripts call the manager",
    load: async () => (await import("./commands/access-token.ts")).accessTokenCommand,
  },
  {
    name: "audit",
    aliases: [],
    group: ACCESS,
    summary: "Show who changed what, and who was refused what",
    load: async () => (await import("./commands/audit.ts")).auditCommand,
  },
  {
    name: "demo",
    aliases: [],
    group: OTHER,
    summary: "Run Bookinfo as a whole mesh on this machine",
    load: async () => (await import("./commands/demo.ts")).demoCommand,
  },
  {
    name: "demo-guard",
    aliases: [],
    group: HIDDEN,
    summary: "Tidies up after a demo that was killed",
    load: async () => (await import("./commands/demo-guard.ts")).demoGuardCommand,
  },
  {
    name: "demo-service",
    aliases: [],
    group: HIDDEN,
    summary: "One service of the demo",
    load: async () => (await import("./commands/demo-service.ts")).demoServiceCommand,
  },
  {
    name: "iptables",
    aliases: ["capture"],
    group: OTHER,
    summary: "Lead the traffic of this machine through its proxy",
    load: async () => (await import("./commands/iptables.ts")).iptablesCommand,
  },
  {
    name: "completion",
    aliases: [],
    group: OTHER,
    summary: "Print completion for bash, zsh or fish",
    load: async () => (await import("./commands/completion.ts")).completionCommand,
  },
  {
    name: "complete",
    aliases: [],
    group: HIDDEN,
    summary: "What a command line may go on with, for shells",
    load: async () => (await import("./commands/complete.ts")).completeCommand,
  },
  {
    name: "version",
    aliases: [],
    group: OTHER,
    summary: "Show versions of this binary, of the manager and of the proxies",
    load: async () => (await import("./commands/version.ts")).versionCommand,
  },
];
