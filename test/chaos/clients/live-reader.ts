import { type ClientRequest, request } from 'node:http';
import type { Furniture } from './furniture.ts';

/** The longest silence between two events, which are made every 200 ms, in milliseconds. */
const SILENCE_MS = 2_000;

interface LiveParts {
  readonly port: number;
  readonly address: string;
  readonly furniture: Furniture;
}

/** Reads a stream of events that does not end, and notes what goes wrong with it; a broken one is opened again. */
export function startLiveReader({ port, address, furniture }: LiveParts) {
  const opening = Promise.withResolvers<void>();
  let failures: string[] = [];
  let events = 0;
  let lastId = 0;
  let heardAt = performance.now();
  let rest = '';

  function read(chunk: string): void {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith('id: ')) continue;
      const id = Number(line.slice(4));
      // The cursor, given back.
      if (id === lastId) continue;
      if (id !== lastId + 1) failures.push(`after event ${lastId} came ${id}`);
      lastId = id;
      events++;
      hear();
    }
  }

  function hear(): void {
    const silenceMs = performance.now() - heardAt;
    if (silenceMs > SILENCE_MS) failures.push(`silent for ${Math.round(silenceMs)} ms`);
    heardAt = performance.now();
  }

  function lose(reason: string): void {
    failures.push(reason);
    setTimeout(open, SILENCE_MS / 4);
  }

  function open(): ClientRequest {
    const headers = {
      Host: 'gateway.test',
      Authorization: `Bearer ${furniture.honestKey}`,
      'Last-Event-ID': String(lastId),
    };
    const path = `/v1/workflows/${furniture.honest.liveId}/events`;
    rest = '';
    return request({ host: '127.0.0.1', port, path, localAddress: address, agent: false, headers }, (answer) => {
      if (answer.statusCode !== 200) {
        answer.resume();
        return lose(`the stream was answered with ${answer.statusCode}`);
      }
      opening.resolve();
      answer.setEncoding('utf8').on('data', read);
      // Its end comes as an error, too, when it is no clean one.
      answer.on('error', () => undefined).on('close', () => lose('the stream broke off'));
    })
      .on('error', (error) => lose(error.message))
      .end();
  }

  open();
  return {
    opened: opening.promise,
    /** How many came since they were taken last. */
    events: () => events,
    /** What came since this was asked last. */
    take() {
      hear();
      const taken = { events, failures: failures.map((failure) => `live stream: ${failure}`) };
      events = 0;
      failures = [];
      return taken;
    },
  };
}
