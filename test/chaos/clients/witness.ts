import { answerMessages } from '../../../bench/support/answer-messages.ts';
import type { Furniture } from './furniture.ts';
import { startHonestClient } from './honest-client.ts';
import { type Latencies, summarizeLatencies } from './latencies.ts';
import { startLiveReader } from './live-reader.ts';
import { startProber } from './prober.ts';

// The one who sees what an attack does to others, in a process of its own: a prober of /v1/healthz, an honest client, and
// a reader of a stream that stays open from the first phase to the last.

export type WitnessMessage =
  | { readonly meet: Meeting }
  /** Begins a phase. */
  | { readonly begin: true }
  /** Says how much was seen of it so far. */
  | { readonly look: true }
  /** Ends it. */
  | { readonly report: true };

interface Meeting {
  readonly port: number;
  readonly address: string;
  readonly furniture: Furniture;
}

/** How much there was to see. */
export interface WitnessSighting {
  readonly probes: { readonly count: number };
  readonly honest: { readonly count: number };
  readonly live: { readonly events: number };
}

export interface WitnessReport extends WitnessSighting {
  readonly probes: Latencies & { readonly failures: readonly string[] };
  readonly honest: Latencies & { readonly failures: readonly string[] };
  readonly live: { readonly events: number; readonly failures: readonly string[] };
  /** How late the witness itself was, which its figures contain, in milliseconds. */
  readonly lateP99Ms: number;
}

const PROBES_PER_SECOND = 50;
const ACTS_PER_SECOND = 20;

let scene: Meeting | undefined;
let live: ReturnType<typeof startLiveReader> | undefined;
let phase: ReturnType<typeof begin> | undefined;

function begin(meeting: Meeting) {
  const prober = startProber({ ...meeting, perSecond: PROBES_PER_SECOND });
  const honest = startHonestClient({ ...meeting, perSecond: ACTS_PER_SECOND });
  return {
    look: () => ({ probes: { count: prober.count() }, honest: { count: honest.count() } }),
    async end() {
      const [probes, acts] = await Promise.all([prober.end(), honest.end()]);
      return {
        probes: { ...summarizeLatencies(probes.latenciesMs), failures: probes.failures },
        honest: { ...summarizeLatencies(acts.latenciesMs), failures: acts.failures },
        lateP99Ms: summarizeLatencies(probes.lateMs).p99Ms,
      };
    },
  };
}

answerMessages<WitnessMessage>(async (message): Promise<WitnessReport | WitnessSighting | object> => {
  if ('meet' in message) {
    scene = message.meet;
    live = startLiveReader(scene);
    await live.opened;
    return {};
  }
  if (!scene || !live) throw new Error('there is nobody to watch yet');
  if ('begin' in message) {
    live.take();
    phase = begin(scene);
    return {};
  }
  if (!phase) throw new Error('no phase has begun');
  if ('look' in message) return { ...phase.look(), live: { events: live.events() } };
  return { ...(await phase.end()), live: live.take() };
});
