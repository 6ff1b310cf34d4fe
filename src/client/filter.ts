import { EX_USAGE, StartupError } from '../shared/startup-error.ts';
import type { RankRequest } from './contract.ts';

type Filter = NonNullable<RankRequest['filters']>[number];

/** `plddt>=80` or `pae<=10`. Throws a StartupError for anything else. */
export function parseFilter(text: string): Filter {
  const [, metric, comparison, limit] =
    /^\s*([^\s<>=]+)\s*(<=|>=)\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*$/.exec(text) ?? [];
  if (metric === undefined) {
    const advice = /[<>](?!=)/.test(text) ? '; the limit itself always counts, so there is only >= and <=' : '';
    throw new StartupError(`"${text}" is not a filter such as plddt>=80 or pae<=10${advice}`, EX_USAGE);
  }
  return comparison === '>=' ? { metric, min: Number(limit) } : { metric, max: Number(limit) };
}
