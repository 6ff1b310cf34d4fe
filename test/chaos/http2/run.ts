import { create } from '@bufbuild/protobuf';
import { ConnectError, createClient } from '@connectrpc/connect';
import fc from 'fast-check';
import { createTransport, type UpstreamTransport } from '../../../src/gateway/upstream/transport.ts';
import {
  GetWorkflowRequestSchema,
  OrchestratorService,
} from '../../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { ping, SETTING, settings, windowUpdate } from '../../support/h2-frames.ts';
import { answerTo, onCall, type RawCall } from '../../support/raw-grpc.ts';
import { type RawPeer, startRawHttp2Server } from '../../support/raw-http2-server.ts';
import { until, within } from '../../support/waiting.ts';
import { assertOwn, type Outcome, sourcesOf } from './answers.ts';
import { type ConversationPlan, conversationPlan, converse } from './conversation.ts';
import { type Damage, damage, damaged } from './damage.ts';

const METHODS = OrchestratorService.method;
const BOUND_MS = 10_000;
/** For calls to a server that stays and is silent. */
const SHORT_MS = 40;
const HELLO = 'hello';

/** One conversation, what goes wrong with it, and how the server goes on after it. */
export interface Scenario {
  readonly plan: ConversationPlan;
  readonly damages: readonly Damage[];
  /** Bytes in a packet. */
  readonly packetBytes: number;
  readonly ending: 'end' | 'reset' | 'stay';
}

export const scenario: fc.Arbitrary<Scenario> = fc.record({
  plan: conversationPlan,
  damages: fc.array(damage, { minLength: 1, maxLength: 5 }),
  packetBytes: fc.oneof(fc.constant(65_536), fc.integer({ min: 1, max: 2_000 })),
  ending: fc.oneof(
    { weight: 12, arbitrary: fc.constant('end' as const) },
    { weight: 3, arbitrary: fc.constant('reset' as const) },
    { weight: 1, arbitrary: fc.constant('stay' as const) },
  ),
});

/**
 * Holds the conversation with a new transport. Throws when a call does not settle in time, fails with anything but a
 * ConnectError, has an answer that did not come on its stream, or when the transport is of no more use.
 */
export async function runScenario({ plan, damages, packetBytes, ending }: Scenario): Promise<void> {
  const texts = plan.answers.map((_, index) => `<call ${index}>`);
  let sent: Buffer = Buffer.alloc(0);
  let asked: readonly RawCall[] = [];
  const server = await startRawHttp2Server(async (peer, index) => {
    if (index > 0) return answerAll(peer, () => true);
    // An honest answer first: nobody hurries back to a server that has never given one.
    const calls = await answerAll(peer, ({ text }) => text === HELLO, texts.length);
    asked = [...calls].sort((a, b) => texts.indexOf(a.text) - texts.indexOf(b.text));
    sent = Buffer.concat(damaged(converse(plan, asked), damages));
    await sendInPackets(peer, sent, packetBytes);
    if (ending !== 'stay') peer[ending]();
  });
  const transport = await openDirect(server);
  try {
    await within('the first call', ask(transport, HELLO));
    const timeoutMs = ending === 'stay' ? SHORT_MS : undefined;
    const calls = texts.map((text, index) => settle(transport, text, plan.answers[index]!.isStream, timeoutMs));
    const outcomes = await within('all calls', Promise.all(calls), BOUND_MS);
    const sources = sourcesOf(sent);
    for (const outcome of outcomes) {
      assertOwn(
        outcome,
        asked.find(({ text }) => text === outcome.text),
        sources,
      );
    }
    server.peers[0]!.end();
    await untilAnswered(transport);
  } finally {
    transport.close();
    await server.close();
  }
}

/** One that is made before the end of a connection has been seen is lost. */
async function untilAnswered(transport: UpstreamTransport): Promise<void> {
  const next = () =>
    ask(transport, 'next', 1_000).then(
      (bytes) => bytes.includes('next'),
      () => false,
    );
  await until('a next call is answered', next, BOUND_MS);
}

/** What a server says before anybody asks. */
const GREETING = [
  settings([
    [SETTING.maxConcurrentStreams, 10],
    [SETTING.initialWindowSize, 100_000],
  ]),
  windowUpdate(0, 100_000),
  ping(Buffer.from('greeting')),
];

/** The same for a server whose first words are damaged, and are its last. */
export async function runGreeting(damages: readonly Damage[]): Promise<void> {
  const server = await startRawHttp2Server(
    (peer, index) => {
      if (index > 0) {
        peer.send(settings([]));
        return answerAll(peer, () => true);
      }
      peer.send(...damaged(GREETING, damages));
      peer.end();
    },
    { settings: false },
  );
  const transport = await openDirect(server);
  try {
    const calls = ['<call 0>', '<call 1>'].map((text) => settle(transport, text, false));
    await within('all calls', Promise.all(calls), BOUND_MS);
    await untilAnswered(transport);
  } finally {
    transport.close();
    await server.close();
  }
}

function openDirect({ port }: { port: number }): Promise<UpstreamTransport> {
  const endpoint = `http://localhost:${port}`;
  return createTransport('direct', { endpoint, keepaliveMs: 60_000, readMaxBytes: 1_000_000 });
}

/** Answers what is `honest`, and resolves with the first `count` calls that are not. */
function answerAll(peer: RawPeer, isHonest: (call: RawCall) => boolean, count = 0): Promise<readonly RawCall[]> {
  const others: RawCall[] = [];
  return new Promise((resolve) => {
    onCall(peer, (call) => {
      if (isHonest(call)) peer.send(...answerTo(call));
      else if (others.push(call) === count) resolve(others);
    });
    if (count === 0) resolve(others);
  });
}

async function sendInPackets(peer: RawPeer, bytes: Buffer, packetBytes: number): Promise<void> {
  // So many turns of the event loop are enough to cut frames anywhere.
  const size = Math.max(packetBytes, Math.ceil(bytes.length / 100));
  for (let at = 0; at < bytes.length; at += size) {
    peer.send(bytes.subarray(at, at + size));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function ask(transport: UpstreamTransport, text: string, timeoutMs?: number): Promise<Buffer> {
  const request = create(GetWorkflowRequestSchema, { workflowId: text });
  return Buffer.from(await transport.unaryBytes(METHODS.getWorkflow, undefined, timeoutMs, undefined, request));
}

async function* askForStream(transport: UpstreamTransport, text: string, timeoutMs?: number): AsyncGenerator<Buffer> {
  const options = timeoutMs === undefined ? {} : { timeoutMs };
  const client = createClient(OrchestratorService, transport);
  for await (const { workflowId } of client.streamWorkflowEvents({ workflowId: text }, options))
    yield Buffer.from(workflowId);
}

async function settle(
  transport: UpstreamTransport,
  text: string,
  isStream: boolean,
  timeoutMs?: number,
): Promise<Outcome> {
  const answers: Buffer[] = [];
  try {
    if (!isStream) answers.push(await ask(transport, text, timeoutMs));
    else for await (const answer of askForStream(transport, text, timeoutMs)) answers.push(answer);
  } catch (error) {
    if (!(error instanceof ConnectError)) throw new Error(`${text} failed with no ConnectError`, { cause: error });
  }
  return { text, answers };
}
