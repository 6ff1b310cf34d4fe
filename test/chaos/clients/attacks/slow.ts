import { mintToken } from '../../../../src/shared/checksummed-token.ts';
import { every, type Field, keepOpen, openRaw, request } from '../field.ts';

const CONNECTIONS = 600;
const PER_SECOND = 400;
/** Between two bytes, in milliseconds: no timer that looks for silence ever fires. */
const DRIBBLE_MS = 400;
const BODY_BYTES = 500_000;
const A_BYTE = Buffer.from('a');
const A_FIELD = Buffer.from('X-Padding: a\r\n');

/** Heads that do not come to their end: half of them byte by byte, half of them field by field. */
export function slowHeaders(field: Field): void {
  const head = Buffer.from('GET /v1/healthz HTTP/1.1\r\nHost: gateway.test\r\nX-Slow: ');
  let turn = 0;
  dribble(field, () => (turn++ % 2 === 0 ? [head, A_BYTE] : [Buffer.from(`${head}\r\n`), A_FIELD]));
}

/** Submissions with a good key, of which a byte comes now and then. */
export function slowBodies(field: Field): void {
  dribble(field, () => [submission(field.furniture.attackerKey), A_BYTE]);
}

/** The same with keys that nobody knows. */
export function slowStrangers(field: Field): void {
  dribble(field, () => [submission(mintToken('ffk')), A_BYTE]);
}

function submission(key: string): Buffer {
  return request('POST', '/v1/workflows', {
    Authorization: `Bearer ${key}`,
    'Content-Type': 'application/json',
    'Content-Length': String(BODY_BYTES),
  });
}

function dribble(field: Field, plan: () => readonly [first: Buffer, then: Buffer]): void {
  keepOpen(field, CONNECTIONS, PER_SECOND, (onEnd) => {
    const [first, then] = plan();
    let stop = () => {};
    openRaw(field, {
      onOpen(socket) {
        field.tally.sent++;
        socket.write(first);
        stop = every(field, DRIBBLE_MS, () => socket.write(then));
      },
      onEnd() {
        stop();
        onEnd();
      },
    });
  });
}
