import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { type Log, withoutRedaction } from '../../shared/log.ts';
import type { Answer, Frame, RequestContext } from '../context.ts';
import { errorBody, type GatewayError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { AllowOrigins } from '../middleware/allow-origins.ts';
import { sendAnswer } from '../send-answer.ts';
import { plainAddress } from '../wire/client-address.ts';

interface RefusalParts {
  readonly identify: Frame;
  readonly observe: Frame;
  readonly allowOrigins: Pick<AllowOrigins, 'allow'> | undefined;
  /** What goes with every answer. */
  readonly headers: Readonly<Record<string, string>>;
  readonly renderError: (thrown: unknown, c: RequestContext) => Answer;
  readonly metrics: Pick<Metrics, 'requests' | 'errors'>;
  readonly log: Log;
}

export type Refusals = ReturnType<typeof createRefusals>;

/** Answers what never becomes a request to the app, as the app would have. */
export function createRefusals({ identify, observe, allowOrigins, renderError, metrics, log, ...parts }: RefusalParts) {
  const lines = withoutRedaction(log);

  return {
    /** A request whose head can be read. */
    refuseRequest(incoming: IncomingMessage, outgoing: ServerResponse, error: GatewayError): void {
      // Of a context these stations use what the server gave, and nothing of the target.
      const c = { env: { incoming, outgoing } } as unknown as RequestContext;
      const endIdentify = identify(c);
      const endObserve = observe(c);
      c.env.facts.quiet = true;
      allowOrigins?.allow(c);
      sendAnswer(c, renderError(error, c));
      endObserve();
      endIdentify();
    },

    /** Bytes that are no request: what is written to the connection of `peer`. It is counted and logged as a request is. */
    renderFault(error: GatewayError, peer: string | undefined): string {
      const requestId = randomUUID();
      const { status, code } = error;
      metrics.requests.inc({ method: 'OTHER', path: 'unmatched', status });
      metrics.errors.inc({ code });
      lines.debug(
        {
          request_id: requestId,
          client: plainAddress(peer),
          method: 'OTHER',
          route: 'unmatched',
          status,
          reason: error.message,
        },
        'request',
      );
      const body = JSON.stringify(errorBody(error, requestId, 'GET'));
      const fields = {
        ...parts.headers,
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
        'X-Request-Id': requestId,
        'Cache-Control': 'no-store',
        Date: new Date().toUTCString(),
        Connection: 'close',
      };
      const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join('')}\r\n${body}`;
    },
  };
}
