import { until } from '../support/waiting.ts';
import { ask } from './ask.ts';
import type { World } from './world.ts';

/** How often a probe asks, in milliseconds. */
const PROBE_MS = 250;
/** How long a gateway may take to forget its clients, in milliseconds. */
const FORGET_MS = 15_000;

/** What there is only as long as somebody is there for it; the one that asks has a connection and a request. */
const GAUGES: Readonly<Record<string, number>> = {
  foldforge_gateway_connections: 1,
  foldforge_gateway_http_requests_in_flight: 1,
  foldforge_gateway_held_requests: 0,
  foldforge_gateway_event_streams: 0,
  foldforge_gateway_upstream_event_streams: 0,
};

/** Whoever asks for nothing odd is served, whatever others do. Throws otherwise. */
export async function checkHonest(world: World): Promise<void> {
  const { status } = await ask(world, { target: '/v1/workflows?page_size=1', token: world.tokens.key });
  if (status !== 200) throw new Error(`an honest request after this is answered with ${status}`);
}

/** Asks for the gateway's health until `work` is over, and answers with what that has; throws when it is not well. */
export async function probing<T>(world: World, work: Promise<T>): Promise<T> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  const over = work.then(end, end);
  while (!isOver) {
    const { status } = await ask(world, { target: '/v1/healthz' });
    if (status !== 200) throw new Error(`a probe during this is answered with ${status}`);
    let timer: NodeJS.Timeout | undefined;
    const pause = new Promise((resolve) => {
      timer = setTimeout(resolve, PROBE_MS);
    });
    await Promise.race([over, pause]);
    clearTimeout(timer);
  }
  return work;
}

/** What the gateway still has of clients that have all left, after some time; undefined: nothing. */
export async function findLeftovers(world: World): Promise<string | undefined> {
  let left: readonly string[] = [];
  const look = async () => {
    const { body } = await ask(world, { target: '/metrics' });
    left = Object.entries(GAUGES).flatMap(([name, most]) => {
      const value = Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(body.toString())?.[1]);
      return value <= most ? [] : [`${name} is ${value}`];
    });
    return left.length === 0;
  };
  const late = () => `${FORGET_MS} ms after the last client has left ${left.join(', ')}`;
  return until('the gateway to forget', look, FORGET_MS).then(() => undefined, late);
}
