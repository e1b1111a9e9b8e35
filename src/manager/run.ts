/** `mesh manager`: flags in, a running manager until SIGTERM, an exit code out. */
export async function runManager(argv: readonly string[]): Promise<number> {
  void argv;
  return 0;
}
