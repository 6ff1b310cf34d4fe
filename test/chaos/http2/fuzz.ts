import fc from 'fast-check';
import { until } from '../../support/waiting.ts';
import { damage } from './damage.ts';
import { runGreeting, runScenario, scenario } from './run.ts';

/** One damaged greeting for so many damaged conversations: each makes the transport wait before it tries again. */
const GREETING_SHARE = 40;
const greeting = fc.array(damage, { minLength: 1, maxLength: 3 });

/** Runs so many scenarios, or for so long. Throws fast-check's report of the smallest one that fails. */
export async function fuzz({
  seed,
  runs,
  limitMs,
}: {
  seed?: number;
  runs: number;
  limitMs?: number;
}): Promise<number> {
  let count = 0;
  const property = fc.asyncProperty(scenario, async (one) => {
    count++;
    await runScenario(one);
  });
  await fc.assert(property, {
    numRuns: runs,
    ...(seed !== undefined && { seed }),
    ...(limitMs !== undefined && { interruptAfterTimeLimit: limitMs, markInterruptAsFailure: false }),
  });
  for (const damages of fc.sample(greeting, {
    numRuns: Math.ceil(count / GREETING_SHARE),
    ...(seed !== undefined && { seed }),
  })) {
    const failure = new Error(`a greeting with this damage fails: ${JSON.stringify(damages)}`);
    await runGreeting(damages).catch((cause) => {
      throw Object.assign(failure, { cause });
    });
  }
  await until('nothing is left open', () => !process.getActiveResourcesInfo().some((name) => name.startsWith('TCP')));
  return count;
}
