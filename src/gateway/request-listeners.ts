import type { RequestListener } from 'node:http';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Hono } from 'hono';
import type { Env } from './context.ts';

/**
 * How requests come from node:http to the app, over HTTP/1.1 and over HTTP/2. `renderUnreadable` answers those of which no
 * Request can be made.
 */
export function createRequestListeners(app: Hono<Env>, renderUnreadable: (thrown: unknown) => Response) {
  async function serve(request: Request, env: HttpBindings): Promise<Response> {
    const answer = await app.fetch(request, env);
    // Hono answers HEAD with a copy, which would be written on top of what has been written.
    return env.outgoing.headersSent ? RESPONSE_ALREADY_SENT : answer;
  }

  const listenerOf = (autoCleanupIncoming: boolean): RequestListener =>
    getRequestListener((request, env) => serve(request, env as HttpBindings), {
      errorHandler: renderUnreadable,
      // For HTTP/1.0, where a request need not name one.
      hostname: 'localhost',
      autoCleanupIncoming,
    });

  return {
    answer: listenerOf(true),
    // On HTTP/2 the rest of a body that nobody reads holds up nothing but itself.
    answerStream: listenerOf(false),
  };
}
