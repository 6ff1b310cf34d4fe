import { type Field, keepOpen, openRaw, request } from '../field.ts';

const CONNECTIONS = 300;
const PER_SECOND = 200;
/** So many times the same request on one connection: one answer alone could fit into what the system holds. */
const PIPELINED = 4;

/** Asks with a good key for the largest things that there are, and takes nothing. */
export function slowReaders(field: Field): void {
  const { attackerKey, attacker } = field.furniture;
  const key = { Authorization: `Bearer ${attackerKey}` };
  const requests = [
    request('GET', '/v1/workflows?page_size=100', key),
    request('GET', `/v1/workflows/${attacker.largeId}`, key),
    request('GET', `/v1/workflows/${attacker.eventfulId}/events`, { ...key, 'Last-Event-ID': '0' }),
    request('GET', attacker.filePath, key),
  ].map((once) => Buffer.concat(Array.from({ length: PIPELINED }, () => once)));
  let turn = 0;
  keepOpen(field, CONNECTIONS, PER_SECOND, (onEnd) => {
    const bytes = requests[turn++ % requests.length]!;
    const onOpen = (socket: { readonly write: (bytes: Buffer) => void }) => {
      field.tally.sent += PIPELINED;
      socket.write(bytes);
    };
    openRaw(field, { onOpen, onEnd }, { reads: false });
  });
}
