/** Where a Worker begins: an entry point of its own, beside main.ts (build.ts). */
import { type WorkerPort, WorkerSide } from "./worker-side.ts";

declare const self: WorkerPort;

new WorkerSide(self).begin();
