/**
 * `mesh ctl demo`: Bookinfo as a whole mesh on this machine, with traffic, and what to try on it.
 *
 *   ports ─▶ manager ─▶ sidecars and services ─▶ ready ─▶ traffic until Ctrl-C ─▶ nothing left
 */
import { systemRandom } from "../../core/random.ts";
import { managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { accessSuggestion, policySuggestions, suggestions, writeRules } from "../demo/demo-rule.ts";
import { type DenyList, serveDenyList } from "../demo/deny-list.ts";
import { makeDirectory } from "../demo/directory.ts";
import {
  type DemoPorts,
  type MeshPorts,
  pageUrl,
  pickDemoPorts,
  sidecarCount,
  startMesh,
  usualPorts,
} from "../demo/mesh.ts";
import { selfCommand, typedCommand } from "../demo/self.ts";
import { lastLines, Supervisor } from "../demo/supervisor.ts";
import { Traffic, type TrafficCount, trafficText } from "../demo/traffic.ts";

const ONCE_PAGES = 20;
const LIVE_MS = 1_000;
const PLAIN_MS = 10_000;

export const demoCommand = defineCtlCommand({
  args: {
    once: { type: "boolean", description: `End after ${ONCE_PAGES} pages, 1 if any was not whole` },
    duration: { type: "string", valueHint: "SECONDS", description: "End after so long" },
    traffic: {
      type: "boolean",
      default: true,
      description: "Visit the page all the time (--no-traffic: do not)",
    },
    json: { type: "boolean", description: "Print one line of JSON when ready, and no more" },
  },
  details:
    "Six instances of four services, and an edge, each behind a sidecar, and a manager: real\n" +
    "processes on loopback. Ctrl-C ends all of them, and nothing is left behind.",
  examples: [
    ["mesh ctl demo", "open the page, then try what it suggests"],
    ["mesh ctl demo --once", "in a test: start, look, end"],
    ["mesh ctl demo --json --no-traffic", "for scripts"],
  ],
  async run(args, context) {
    const seconds = args.duration === undefined ? undefined : Number(args.duration);
    if (seconds !== undefined && !(seconds >= 0 && seconds <= 86_400))
      throw usageError("--duration is a number of seconds");
    const demo = new Demo(context, args.json ?? false);
    try {
      await demo.start();
      if (args.once) return await demo.once();
      return await demo.stay(args.traffic, seconds);
    } catch (error) {
      if (error === interrupted) return EXIT.ok;
      throw error;
    } finally {
      await demo.stop();
    }
  },
});

/** What waiting ends with when somebody presses Ctrl-C before the mesh is up. */
const interrupted = new Error("interrupted");

class Demo {
  readonly #context: CommandContext;
  readonly #json: boolean;
  readonly #self = selfCommand();
  readonly #stopped = Promise.withResolvers<never>();
  readonly #onSignal = (): void => this.#stopped.reject(interrupted);
  #denied: DenyList | undefined;
  #running: { readonly supervisor: Supervisor; readonly directory: string } | undefined;
  #ports: MeshPorts = { ...usualPorts, details: 0 };
  #traffic: Traffic | undefined;

  constructor(context: CommandContext, json: boolean) {
    this.#context = context;
    this.#json = json;
    // Whoever waits sees it; nobody waiting is no mistake.
    this.#stopped.promise.catch(() => {});
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, this.#onSignal);
  }

  /** A port that somebody else took meanwhile is no reason to give up: once more, with others. */
  async start(): Promise<void> {
    this.#ports = await pickDemoPorts(usualPorts);
    try {
      await this.#startWith(this.#ports);
    } catch (error) {
      if (!(error instanceof PortTaken)) throw error;
      await this.#running?.supervisor.stop();
      this.#ports = await pickDemoPorts({ page: 0, manager: 0, dashboard: 0 });
      await this.#startWith(this.#ports);
    }
    this.#clearLine();
    this.#sayReady();
  }

  async #startWith(ports: MeshPorts): Promise<void> {
    const { io } = this.#context;
    const directory = makeDirectory();
    const crash = Promise.withResolvers<never>();
    crash.promise.catch(() => {});
    const supervisor = new Supervisor({
      self: this.#self,
      directory,
      clock: io.clock,
      onCrash: (child, how) => {
        const log = lastLines(child.log, 8);
        const taken = /EADDRINUSE|in use/i.test(log);
        const error = taken ? new PortTaken(log) : new CtlError(`${child.name} ${how}`, 1, log);
        crash.reject(error);
        if (!taken) this.#stopped.reject(error);
      },
    });
    this.#running = { supervisor, directory };
    this.#denied ??= serveDenyList();
    writeRules(`${directory}/rules`, this.#denied.url);
    await startMesh({
      supervisor,
      manager: managerAt({ manager: `http://127.0.0.1:${ports.manager}` }, io),
      self: this.#self,
      directory,
      ports,
      clock: io.clock,
      ended: Promise.race([crash.promise, this.#stopped.promise]),
      onProgress: (what) => this.#liveLine(`starting: ${what}`),
    });
  }

  async once(): Promise<number> {
    const traffic = this.#makeTraffic();
    for (let i = 0; i < ONCE_PAGES; i++)
      await Promise.race([traffic.visit(), this.#stopped.promise]);
    const count = traffic.count();
    if (!this.#json) this.#context.io.stdout(`${trafficText(count)}\n`);
    return count.errors === 0 ? EXIT.ok : EXIT.failed;
  }

  /** Until somebody ends it, `seconds` have passed, or a child crashes. */
  async stay(visiting: boolean, seconds: number | undefined): Promise<number> {
    const { io } = this.#context;
    const traffic = this.#makeTraffic();
    if (visiting) traffic.start();
    const end = Promise.withResolvers<void>();
    const cancelEnd =
      seconds === undefined ? () => {} : io.clock.after(seconds * 1000, () => end.resolve());
    const stopShowing = visiting && !this.#json ? this.#show(traffic) : () => {};
    try {
      await Promise.race([end.promise, this.#stopped.promise]);
      return EXIT.ok;
    } finally {
      cancelEnd();
      stopShowing();
      traffic.stop();
      this.#clearLine();
    }
  }

  async stop(): Promise<void> {
    this.#traffic?.stop();
    if (!this.#json) this.#liveLine("ending everything");
    await this.#running?.supervisor.stop();
    await this.#denied?.stop();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.off(signal, this.#onSignal);
    this.#clearLine();
    if (!this.#json) this.#context.io.stdout("the demo has ended; nothing is left of it\n");
  }

  #makeTraffic(): Traffic {
    const { clock } = this.#context.io;
    this.#traffic = new Traffic({ url: pageUrl(this.#ports), clock, random: systemRandom });
    return this.#traffic;
  }

  /** On a terminal one line that changes; elsewhere a line every ten seconds. */
  #show(traffic: Traffic): () => void {
    const { io } = this.#context;
    const recent: TrafficCount[] = [];
    let cancel = (): void => {};
    const again = (): void => {
      cancel = io.clock.after(io.isTty ? LIVE_MS : PLAIN_MS, () => {
        const count = traffic.count();
        const text = trafficText(count, recent[0]);
        recent.push(count);
        // The split is that of the last ten seconds, so that a rule shows soon.
        if (recent.length > (io.isTty ? PLAIN_MS / LIVE_MS : 1)) recent.shift();
        if (io.isTty) this.#liveLine(text);
        else io.stdout(`${text}\n`);
        again();
      });
    };
    again();
    return () => cancel();
  }

  #sayReady(): void {
    const { io, paint } = this.#context;
    const { supervisor, directory } = this.#running!;
    const { page, manager, dashboard } = this.#ports;
    const managerUrl = `http://127.0.0.1:${manager}`;
    const dashboardUrl = `http://127.0.0.1:${dashboard}/`;
    const rules = `${directory}/rules`;
    if (this.#json) {
      const pids = Object.fromEntries(supervisor.children.map(({ name, pid }) => [name, pid]));
      const page = pageUrl(this.#ports);
      const denied = this.#denied!.url;
      const { details } = this.#ports;
      const ready = { page, dashboard: dashboardUrl, manager: managerUrl, denied, details };
      io.stdout(`${JSON.stringify({ ...ready, rules, logs: supervisor.logs, pids })}\n`);
      return;
    }
    const mesh = `${typedCommand(this.#self)} ctl`;
    const at = manager === usualPorts.manager ? "" : ` --manager ${managerUrl}`;
    const others = Object.entries({ page, manager, dashboard })
      .filter(([name, port]) => port !== usualPorts[name as keyof DemoPorts])
      .map(([name]) => `${usualPorts[name as keyof DemoPorts]} (${name})`);
    const lines = [
      paint.bold(`Bookinfo runs as a mesh: one manager, ${sidecarCount} sidecars.`),
      "",
      `  product page   ${paint.cyan(pageUrl(this.#ports))}`,
      `  dashboard      ${paint.cyan(dashboardUrl)}`,
      `  manager        ${managerUrl}`,
      `  logs           ${supervisor.logs}`,
      ...(others.length === 0 ? [] : ["", `In use by others, hence moved: ${others.join(", ")}.`]),
      "",
      paint.bold("Try, in another terminal, and watch the page and the line below:"),
      "",
      ...suggestions.flatMap(([file, effect], i) => [
        `  ${i + 1}. ${effect}`,
        `     ${paint.cyan(`${mesh} apply -f ${rules}/${file}${at}`)}`,
      ]),
      "",
      "  back from 4 to 3, then without either, and see what a sidecar has:",
      `     ${paint.cyan(`${mesh} rollback route-rule ratings-test-user${at}`)}`,
      `     ${paint.cyan(`${mesh} delete route-rule ratings-test-user${at}`)}`,
      `     ${paint.cyan(`${mesh} config productpage routes${at}`)}`,
      "",
      ...this.#policyLines(`${mesh} apply -f ${rules}`, at),
      ...this.#accessLines(mesh, rules, at),
      "Ctrl-C ends everything.",
      "",
      "",
    ];
    io.stdout(lines.join("\n"));
  }

  #policyLines(apply: string, at: string): readonly string[] {
    const { cyan, bold } = this.#context.paint;
    const mesh = `${typedCommand(this.#self)} ctl`;
    const page = pageUrl(this.#ports);
    const first = suggestions.length + 1;
    return [
      bold("Policy is judged by the sidecar of the product page (visitors without x-guest pass):"),
      "",
      ...policySuggestions.flatMap(([file, ask, effect], i) => [
        `  ${first + i}. ${effect}`,
        `     ${cyan(`${apply}/${file}${at}`)}`,
        `     ${cyan(ask(page))}`,
      ]),
      "",
      "  deny eve in place of mallory; see what each rule did, and why somebody was denied:",
      `     ${cyan(`curl -X PUT -d eve ${this.#denied!.url}`)}`,
      `     ${cyan(`${mesh} config productpage policy${at}`)}`,
      `     ${cyan(`${mesh} explain rule denied-guests${at}`)}`,
      "",
    ];
  }

  #accessLines(mesh: string, rules: string, at: string): readonly string[] {
    const { cyan, bold } = this.#context.paint;
    const { file, effect, questions, ask, why } = accessSuggestion;
    const count = suggestions.length + policySuggestions.length + 1;
    return [
      bold("All that crosses between sidecars is mutual TLS. Who may call whom:"),
      "",
      `  ${count}. ${effect}`,
      `     ${cyan(`${mesh} apply -f ${rules}/${file}${at}`)}`,
      ...questions.map((question) => `     ${cyan(`${mesh} ${question}${at}`)}`),
      `     ${cyan(ask(this.#ports.details))}`,
      `     ${cyan(`${mesh} ${why}${at}`)}`,
      "",
    ];
  }

  #liveLine(text: string): void {
    const { io } = this.#context;
    if (!io.isTty || this.#json) return;
    io.stdout(`\r\u001b[2K${Bun.sliceAnsi(text, 0, Math.max(20, io.columns - 1))}`);
  }

  #clearLine(): void {
    const { io } = this.#context;
    if (io.isTty && !this.#json) io.stdout("\r\u001b[2K");
  }
}

class PortTaken extends Error {
  override readonly name = "PortTaken";
}
