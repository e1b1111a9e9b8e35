/** How a supervisor, or somebody at a terminal, asks a process to stop. */

/** The name of the first one. */
export function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.once(signal, () => resolve(signal));
  });
}
