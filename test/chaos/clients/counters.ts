import { get } from 'node:http';

/** Values by series, as `/metrics` has them. */
export type Counters = ReadonlyMap<string, number>;

/** Counters of refusals and failures, whatever they are called; of keys, those that were not just found. */
const TELLING =
  /^foldforge_gateway_(?:errors_total|\w*(?:refus|reject|shed|limit|cut|timeout)\w*_total|api_key_lookups_total)\{/;
const LAG_BUCKET = /^foldforge_event_loop_lag_seconds_bucket\{le="([\d.+Inf]+)"\}$/;
const HELD = ['nodejs_heap_size_used_bytes', 'nodejs_external_memory_bytes'];
const BOUND_MS = 20_000;

export function readCounters(port: number, address: string): Promise<Counters> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(BOUND_MS);
    const options = { host: '127.0.0.1', port, path: '/metrics', localAddress: address, agent: false, signal };
    get(options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(parse(text));
        else reject(new Error(`/metrics answered with ${answer.statusCode}: ${text}`));
      });
    }).on('error', reject);
  });
}

function parse(text: string): Counters {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

/** What JavaScript holds, in bytes: unlike all of the memory, this falls as soon as nobody holds it. */
export function readHeldBytes(counters: Counters): number {
  return HELD.reduce((sum, series) => sum + (counters.get(series) ?? Number.NaN), 0);
}

/** What was refused, and what failed, between two readings. */
export function tellRefusals(before: Counters, after: Counters): string[] {
  return [...after].flatMap(([series, value]) => {
    const rise = value - (before.get(series) ?? 0);
    if (rise <= 0 || !TELLING.test(series)) return [];
    return [
      `${series.replace('foldforge_gateway_', '').replace(/\{\w+="([^"]*)".*/, ' $1')} × ${rise.toLocaleString('en')}`,
    ];
  });
}

/** The bound in seconds below which 99 % of the looks at the event loop were between two readings; 0 of none. */
export function lagP99Seconds(before: Counters, after: Counters): number {
  const buckets = [...after].flatMap(([series, value]) => {
    const bound = LAG_BUCKET.exec(series)?.[1];
    if (bound === undefined) return [];
    return [
      { bound: bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), looks: value - (before.get(series) ?? 0) },
    ];
  });
  const all = buckets.at(-1)?.looks ?? 0;
  return all === 0 ? 0 : buckets.find(({ looks }) => looks >= all * 0.99)!.bound;
}
