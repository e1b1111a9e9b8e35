/** A process one of whose Workers makes a mistake: see worker-plane.test.ts. */
import { WorkerThread } from "./worker-thread.ts";

export const FIXTURE = import.meta.path;

if (import.meta.main) {
  const worker = new WorkerThread({ number: 1, onLine: () => {} });
  // Nothing was prepared, or even started.
  void worker.ask(process.argv[2] === "throws" ? "publish" : "ready", undefined);
}
