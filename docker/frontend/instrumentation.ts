/** Called once by Next.js when the server starts. */
export async function register(): Promise<void> {
  // The variable is set where the server is the container's process; elsewhere Next.js handles signals itself.
  if (process.env.NEXT_RUNTIME === "nodejs" && process.env.NEXT_MANUAL_SIG_HANDLE) {
    const { Drain } = await import("./lib/drain");
    new Drain((code) => process.exit(code)).listen();
  }
}
