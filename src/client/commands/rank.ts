import { EX_USAGE, StartupError } from '../../shared/startup-error.ts';
import { defineCommand, parseCount } from '../command.ts';
import type { Ranking } from '../contract.ts';
import { parseFilter } from '../filter.ts';
import { printable } from '../output.ts';
import { formatTable } from '../table.ts';

/** As much of a SHA-256 as people need. */
const SHORT_SHA256 = 12;

export const rank = defineCommand({
  positionals: ['ID'],
  about: "Rank a workflow's designs by a metric, best first",
  details: `Lower is better for pae, global_score and rmsd, higher for everything else, unless you say otherwise. What stands under DESIGN
chooses a file of \`download\`.`,
  options: {
    metric: { type: 'string', value: 'M', about: 'what to rank by, such as plddt or iptm' },
    minimize: { type: 'boolean', about: 'lower is better' },
    maximize: { type: 'boolean', about: 'higher is better' },
    filter: {
      type: 'string',
      multiple: true,
      value: 'F',
      about: "only designs with 'plddt>=80' or 'pae<=10'; all of several must hold",
    },
    top: { type: 'string', value: 'N', about: 'only the best N' },
  },
  async run({ values, positionals: [id], api, output }) {
    const { metric, minimize, maximize } = values;
    if (!metric) throw new StartupError('--metric is missing', EX_USAGE);
    if (minimize && maximize) throw new StartupError('--minimize and --maximize exclude each other', EX_USAGE);
    const ranking = await api.rankDesigns(id!, {
      metric,
      ...((minimize || maximize) && { maximize: maximize === true }),
      ...(values.filter && { filters: values.filter.map(parseFilter) }),
      ...(values.top !== undefined && { top_k: parseCount('--top', values.top, 1) }),
    });
    output.printJson(ranking);
    if (ranking.designs.length > 0) for (const line of tableOf(ranking, metric)) output.print(line);
    if (!output.isJson && ranking.designs.length < ranking.total_considered) {
      output.note(
        `${ranking.designs.length} of ${ranking.total_considered} designs; ${ranking.total_ranked} could be ranked`,
      );
    }
    return 0;
  },
});

function tableOf({ designs }: Ranking, metric: string): string[] {
  const rows = designs.map(({ rank: place, score, id, kind, source_step, metrics }) => {
    const others = Object.entries(metrics).filter(([name]) => name !== metric);
    const design = /^[0-9a-f]{64}$/.test(id) ? id.slice(0, SHORT_SHA256) : id;
    const cells = [design, kind, source_step, others.map(([name, value]) => `${name}=${formatScore(value)}`).join(' ')];
    return [String(place), formatScore(score), ...cells.map(printable)];
  });
  return formatTable(['RANK', printable(metric).toUpperCase(), 'DESIGN', 'KIND', 'STEP', 'METRICS'], rows);
}

function formatScore(score: number): string {
  return String(Number(score.toPrecision(6)));
}
