import { type Check, check } from '../support/report.ts';
import type { JunkEffort, Situations } from './junk-keys.ts';

/** Far less than it would take to remember all the junk. */
const GROWTH_LIMIT_MB = 10;

/** What was measured before and during the floods, as rows with a column for each situation. */
export function checkSituations(situations: Situations, { junkKeys }: JunkEffort): Check[] {
  const pick = (name: keyof Situations[keyof Situations]) => {
    const entries = Object.entries(situations).map(([situation, numbers]) => [situation, numbers[name]] as const);
    return Object.fromEntries(entries.filter((entry): entry is readonly [string, number] => entry[1] !== undefined));
  };
  const limit = (wrongChecksums: number, unknownKeys: number) => ({
    'wrong checksums': wrongChecksums,
    'unknown keys': unknownKeys,
  });
  const growth = limit(GROWTH_LIMIT_MB, GROWTH_LIMIT_MB);
  return [
    check({ name: 'callP50Ms', label: 'a call waits, p50', unit: 'ms' }, pick('callP50Ms')),
    check({ name: 'callP99Ms', label: 'a call waits, p99', unit: 'ms' }, pick('callP99Ms')),
    check({ name: 'lookups', label: 'RPCs', unit: '' }, pick('lookups'), limit(0, junkKeys)),
    check({ name: 'lookupsOfOneKey', label: 'most for one key', unit: '' }, pick('lookupsOfOneKey'), limit(0, 1)),
    check(
      { name: 'lookupsOfGoodKeys', label: 'for all good ones then', unit: '' },
      pick('lookupsOfGoodKeys'),
      limit(0, 0),
    ),
    check({ name: 'growthMb', label: 'memory growth', unit: 'MB' }, pick('growthMb'), growth),
    check({ name: 'requestsPerSecond', label: 'answers', unit: '/s' }, pick('requestsPerSecond')),
    check({ name: 'cpuUs', label: 'CPU per request', unit: 'µs' }, pick('cpuUs')),
  ];
}
