import { mintToken } from '../../../../src/shared/checksummed-token.ts';
import { type Field, openRaw, request } from '../field.ts';

const CONNECTIONS = 48;
const CHUNKS = Buffer.from('1\r\n \r\n'.repeat(64 * 1024));

/** Bodies in chunks of one byte, with a good key, with one that nobody knows and with none; anew as soon as they are refused. */
export function tinyChunks(field: Field): void {
  const keys = [field.furniture.attackerKey, mintToken('ffk'), undefined];
  const heads = keys.map((key) =>
    request('POST', '/v1/workflows', {
      ...(key && { Authorization: `Bearer ${key}` }),
      'Content-Type': 'application/json',
      'Transfer-Encoding': 'chunked',
    }),
  );
  for (let index = 0; index < CONNECTIONS; index++) pourChunks(field, heads[index % heads.length]!);
}

function pourChunks(field: Field, head: Buffer): void {
  openRaw(field, {
    onOpen(socket) {
      field.tally.sent++;
      socket.write(head);
      socket.pour(CHUNKS);
    },
    onAnswer: (_status, socket) => socket.leave(),
    onEnd: () => setImmediate(() => pourChunks(field, head)),
  });
}
