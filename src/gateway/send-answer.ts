import type { Answer, RequestContext } from './context.ts';

/**
 * Writes an answer, with the headers that the stations before have set; its own go over theirs. All headers in one object,
 * with none set before: that is how node:http writes them fastest. HEAD gets the header alone.
 */
export function sendAnswer({ env: { outgoing, facts } }: RequestContext, { status, headers, body }: Answer): void {
  outgoing.writeHead(status, { ...facts.headers, ...headers });
  outgoing.end(body);
}
