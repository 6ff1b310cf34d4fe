import fc from 'fast-check';
import { until } from '../../support/waiting.ts';
import { damage } from './damage.ts';
import { runGreeting, runScenario, scenario } from './run.ts';

/** One damaged greeting for so many damaged conversations: each makes the transport wait before it tries again. */
const GREETING_SHARE = 40;
const greeting = fc.array(damage, { minLength: 1, maxLength: 3 });

/** Runs so many scenarios. Throws fast-check's report of the smallest one that fails. */
export async function fuzz({ seed, runs }: { seed?: number; runs: number }): Promise<void> {
  const seeded = seed === undefined ? {} : { seed };
  await fc.assert(fc.asyncProperty(scenario, runScenario), { numRuns: runs, ...seeded });
  for (const damages of fc.sample(greeting, { numRuns: Math.ceil(runs / GREETING_SHARE), ...seeded })) {
    const failure = new Error(`a greeting with this damage fails: ${JSON.stringify(damages)}`);
    await runGreeting(damages).catch((cause) => {
      throw Object.assign(failure, { cause });
    });
  }
  await until('nothing is left open', () => !process.getActiveResourcesInfo().some((name) => name.startsWith('TCP')));
}
