/** How to do without the embedded Postgres, for the end of an error message. */
export const BRING_YOUR_OWN = 'or set FOLDFORGE_ORCH__DATABASE_URL to a Postgres of your own';

/** The line of a Postgres program's standard error that says why it gave up. */
export function reasonIn(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  const told = lines.findLast((line) => /^(?:\w+: error|FATAL|PANIC):/.test(line));
  const reason = told ?? lines.findLast((line) => line !== '') ?? 'it said nothing';
  return reason.replace(/^(?:\w+: error|[A-Z]+):\s*/, '');
}
