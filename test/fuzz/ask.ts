import type { WireAnswer } from './answers.ts';
import { converse } from './conversation.ts';
import type { Place } from './open-socket.ts';

/** How long anything simple may take, in milliseconds: this process may be busy with something else. */
export const SLACK_MS = 5_000;

interface Question {
  readonly target: string;
  readonly token?: string;
  /** JSON, for POST. */
  readonly body?: string | undefined;
}

/** Asks for nothing odd, on a connection of its own, over HTTP/1.1. Throws when there is no answer in time. */
export async function ask(place: Pick<Place, 'port' | 'ca'>, { target, token, body }: Question): Promise<WireAnswer> {
  const lines = [
    `${body === undefined ? 'GET' : 'POST'} ${target} HTTP/1.1`,
    'Host: gateway.test',
    'Connection: close',
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    ...(body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]),
  ];
  const packet = Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`);
  const talk = await converse({ place, packets: [packet], endAfter: 1, boundMs: SLACK_MS });
  const [answer] = talk.answers;
  if (!answer) throw new Error(`an honest request for ${target} has no answer: ${talk.fault ?? talk.ending}`);
  return answer;
}
