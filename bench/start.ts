import { copyFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { EX_UNAVAILABLE, StartupError } from '../src/shared/startup-error.ts';
import { GATEWAYS, PEERS } from './start/forms.ts';
import { measureStarts, type StartEffort } from './start/measure-starts.ts';
import {
  type AreaReport,
  type Effort,
  type Measure,
  median,
  type Round,
  summarize,
  withoutLimits,
} from './support/report.ts';
import type { Stage } from './support/stage.ts';

const READY_LIMIT_MS = 600;
const READY_AIM_MS = 350;
const RSS_LIMIT_MB = 110;
const RSS_AIM_MB = 90;

const FULL: StartEffort = { starts: 10, idleLooks: 3, idleMs: 3_000 };
const QUICK: StartEffort = { starts: 2, idleLooks: 1, idleMs: 1_000 };

/** What the limits are about: the others are shown beside it. */
const LIMITED = 'bundle';
const MEASURES: readonly (Measure & { readonly ofServers?: boolean })[] = [
  { name: 'readyMs', label: 'ready', unit: 'ms', limit: READY_LIMIT_MS },
  { name: 'answerMs', label: 'first answer', unit: 'ms', ofServers: true },
  { name: 'cpuMs', label: 'CPU until ready', unit: 'ms' },
  { name: 'rssMb', label: 'idle RSS', unit: 'MB', limit: RSS_LIMIT_MB },
];

/** From the command to the first answer, and the memory of a gateway that nobody uses. */
export async function benchStart(
  stage: Stage,
  { rounds: roundCount, quick, alone = false }: Effort,
): Promise<AreaReport> {
  const size = quick ? QUICK : FULL;
  const peers = alone ? {} : PEERS;
  const rounds: Round[] = [];
  const othersCores: number[] = [];
  const bundledGateway = await stage.turn(() => buildGateway(stage.productRoot, stage.makeFolder()));
  for (let round = 1; round <= roundCount; round++) {
    const readOthersCores = stage.watchOthers();
    const measured = await measureStarts(stage, { ...GATEWAYS, ...peers }, bundledGateway, size);
    rounds.push(measured);
    othersCores.push(readOthersCores());
    const said = Object.entries(measured).map(([name, { readyMs }]) => `${name} ${readyMs!.toFixed(0)} ms`);
    stage.say(`start, round ${round} of ${roundCount}: ${said.join(', ')}`);
  }
  const rows = MEASURES.flatMap(({ ofServers, ...measure }) =>
    Object.keys(GATEWAYS).flatMap((name) => {
      const labelled = [{ ...measure, label: `${measure.label}, ${name}` }];
      const compared = Object.entries(peers).filter(([, { serves }]) => serves || !ofServers);
      const isLimited = name === LIMITED && !quick;
      return summarize(
        rounds,
        isLimited ? labelled : withoutLimits(labelled),
        name,
        compared.map(([peer]) => peer),
      );
    }),
  );
  return {
    area: 'start',
    title: `${size.starts} starts of each form in a round, and its memory after ${size.idleMs / 1000} s without a request`,
    workload: { ...size },
    rows,
    rounds,
    notes: [
      'ready: from the start of the process to its line that says so. first answer: to all of a workflow, asked for then with',
      'an API key, for which the orchestrator is asked twice. The first start of each is left out: it reads files from the disk.',
      'S3: a store is configured, so its client is loaded.',
      ...(alone ? [] : ['node: a process of Node that has nothing to run.']),
      `Aims: the bundle ready in ${READY_AIM_MS} ms, and ${RSS_AIM_MB} MB idle.`,
      `Others used ${median(othersCores).toFixed(1)} cores meanwhile: whoever has to share a core is ready later, for hardly more CPU time.`,
      `Pinning: ${stage.pinning}.`,
    ],
  };
}

/** Bundles the gateway of a checkout into `folder`, as the image has it: without any packages around. Returns the program. */
async function buildGateway(root: string, folder: string): Promise<string> {
  const script = path.join(root, 'scripts/bundle.ts');
  if (!existsSync(script)) throw new StartupError('it has no scripts/bundle.ts', EX_UNAVAILABLE);
  const { bundle }: typeof import('../scripts/bundle.ts') = await import(pathToFileURL(script).href);
  await bundle(path.join(folder, 'dist'));
  copyFileSync(path.join(root, 'openapi.yaml'), path.join(folder, 'openapi.yaml'));
  return path.join(folder, 'dist/bin/gateway.js');
}
