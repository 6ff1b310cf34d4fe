import { randomBytes, randomUUID } from 'node:crypto';
import { mintToken } from '../../../../src/shared/checksummed-token.ts';
import { type Field, flood, keepOpen, openRaw, request } from '../field.ts';

const CONNECTIONS = 100;
/** Below HEADER_LIMIT_BYTES. */
const LONG_KEY_BYTES = 12_000;
const MINTED = 20_000;

/** Keys of which no two are the same: of no form, of the form of ours with a good checksum, and very long. */
export function junkKeys(field: Field): void {
  // Made before, or the attacker would spend its time on chance.
  const minted = Array.from({ length: MINTED }, () => mintToken('ffk'));
  const long = 'k'.repeat(LONG_KEY_BYTES);
  const kinds = [
    (turn: number) => `${randomBytes(6).toString('hex')}${turn}`,
    (turn: number) => minted[turn % MINTED]!,
    (turn: number) => `${long}${turn}`,
  ];
  let turn = 0;
  flood(field, CONNECTIONS, () => {
    const key = kinds[turn % kinds.length]!(turn);
    turn++;
    return request('GET', '/v1/workflows', { Authorization: `Bearer ${key}` });
  });
}

/** What one good key can do: submit, read and list as fast as it is answered. */
export function oneKey(field: Field): void {
  const { attackerKey, attacker } = field.furniture;
  const key = { Authorization: `Bearer ${attackerKey}` };
  const body = JSON.stringify({ name: 'flood', steps: [{ id: 'backbone', tool: 'rfdiffusion' }] });
  const headers = { ...key, 'Content-Type': 'application/json', 'Content-Length': String(body.length) };
  const requests = [
    () => request('GET', `/v1/workflows/${attacker.smallId}`, key),
    () => request('GET', '/v1/workflows?page_size=5', key),
    () => request('POST', '/v1/workflows', { ...headers, 'Idempotency-Key': randomUUID() }, body),
  ];
  let turn = 0;
  flood(field, CONNECTIONS, () => requests[turn++ % requests.length]!());
}

const STREAMS = 1_500;
const STREAMS_PER_SECOND = 400;

/** More event streams than one key may have, of a workflow that goes on. */
export function manyStreams(field: Field): void {
  const { attackerKey, attacker } = field.furniture;
  const path = `/v1/workflows/${attacker.eventfulId}/events`;
  const bytes = request('GET', path, { Authorization: `Bearer ${attackerKey}` });
  keepOpen(field, STREAMS, STREAMS_PER_SECOND, (onEnd) => {
    const onOpen = (socket: { readonly write: (bytes: Buffer) => void }) => {
      field.tally.sent++;
      socket.write(bytes);
    };
    openRaw(field, { onOpen, onEnd });
  });
}
