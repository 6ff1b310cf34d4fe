import { type Field, openRaw, type RawSocket, request } from '../field.ts';

const CHURNING = 64;
const HALF_CLOSED = 300;
const PIPELINES = 32;
/** Requests that wait for their answers on one connection. */
const AHEAD = 1_000;

/** Connections that are left at once, by FIN and by RST, with half a request sent and with none; and half-closed ones. */
export function churn(field: Field): void {
  const half = Buffer.from('GET /v1/healthz HTTP/1.1\r\nHo');
  const ways: readonly ((socket: RawSocket) => void)[] = [
    (socket) => socket.leave(),
    (socket) => socket.reset(),
    (socket) => {
      socket.write(half);
      setImmediate(socket.leave);
    },
    (socket) => {
      socket.write(half);
      setImmediate(socket.reset);
    },
  ];
  const next = () => {
    const onOpen = field.seeded.pick(ways);
    openRaw(field, { onOpen, onEnd: () => setImmediate(next) });
  };
  for (let index = 0; index < CHURNING; index++) next();
  const halfClose = () => {
    openRaw(field, { onOpen: (socket) => socket.halfClose(), onEnd: () => setImmediate(halfClose) });
  };
  for (let index = 0; index < HALF_CLOSED; index++) halfClose();
}

/** A thousand requests ahead of their answers on each connection: of cheap ones, of good ones, of bad ones, and of ones with a body. */
export function pipelining(field: Field): void {
  const key = { Authorization: `Bearer ${field.furniture.attackerKey}` };
  const kinds = [
    request('GET', '/v1/healthz'),
    request('GET', `/v1/workflows/${field.furniture.attacker.smallId}`, key),
    request('GET', '/v1/nothing'),
    request('GET', '/v1/workflows'),
    Buffer.concat([request('GET', '/v1/healthz', { 'Content-Length': '1' }), Buffer.from('x')]),
  ];
  for (let index = 0; index < PIPELINES; index++) pipeline(field, kinds[index % kinds.length]!);
}

function pipeline(field: Field, once: Buffer): void {
  const part = Buffer.concat(Array.from({ length: AHEAD / 2 }, () => once));
  let unanswered = 0;
  const fill = (socket: RawSocket) => {
    for (; unanswered <= AHEAD / 2; unanswered += AHEAD / 2) {
      field.tally.sent += AHEAD / 2;
      socket.write(part);
    }
  };
  openRaw(field, {
    onOpen: fill,
    onAnswer(_status, socket) {
      unanswered--;
      fill(socket);
    },
    onEnd: () => setImmediate(() => pipeline(field, once)),
  });
}
