import { type Field, keepOpen, openRaw, request } from '../field.ts';

export const IDLE_CONNECTIONS = 10_000;
const PER_SECOND = 2_500;

/** Connections that do nothing: half of them never, half of them after they have asked once. */
export function idle(field: Field): void {
  const once = request('GET', '/v1/healthz');
  let turn = 0;
  keepOpen(field, IDLE_CONNECTIONS, PER_SECOND, (onEnd) => {
    const asks = turn++ % 2 === 0;
    openRaw(field, {
      onOpen(socket) {
        if (!asks) return;
        field.tally.sent++;
        socket.write(once);
      },
      onEnd,
    });
  });
}
