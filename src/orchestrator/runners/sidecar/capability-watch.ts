import { Code, ConnectError } from '@connectrpc/connect';
import type { Log } from '../../../shared/log.ts';
import { TOOLS, type Tool } from '../runner.ts';
import type { SidecarCapabilities, SidecarClient } from './tool.ts';

export interface CapabilityTiming {
  readonly answerMs: number;
  /** Until one that did not answer is asked again. */
  readonly retryMs: number;
  /** Until one that answered is asked again: it may have been replaced. */
  readonly refreshMs: number;
  /** Until one is asked again that a run could not reach. */
  readonly suspectMs: number;
}

/** Undefined: the sidecar does not answer any more. */
export type OnCapabilities = (tool: Tool, capabilities: SidecarCapabilities | undefined) => void;

interface CapabilityWatchParts {
  readonly clients: Readonly<Record<Tool, SidecarClient>>;
  readonly timing: CapabilityTiming;
  readonly onCapabilities: OnCapabilities;
  readonly log: Log;
}

export interface CapabilityWatch {
  /** The sidecars that answered when they were asked last. */
  readonly known: ReadonlyMap<Tool, SidecarCapabilities>;
  /** A run could not reach this one. */
  readonly suspect: (tool: Tool) => void;
  readonly close: () => void;
}

/** Asks every sidecar what it can do, over and over, and says in the log when that changes. */
export function startCapabilityWatch({ clients, timing, onCapabilities, log }: CapabilityWatchParts): CapabilityWatch {
  const known = new Map<Tool, SidecarCapabilities>();
  const silent = new Set<Tool>();
  const closing = new AbortController();
  const asking = new Set<Tool>();
  const timers = new Map<Tool, NodeJS.Timeout>();

  function askAfter(tool: Tool, ms: number): void {
    clearTimeout(timers.get(tool));
    if (!closing.signal.aborted) timers.set(tool, setTimeout(ask, ms, tool).unref());
  }

  async function ask(tool: Tool): Promise<void> {
    asking.add(tool);
    try {
      setKnown(tool, await askClient(tool));
    } catch (error) {
      if (!closing.signal.aborted) setSilent(tool, error);
    } finally {
      asking.delete(tool);
      askAfter(tool, known.has(tool) ? timing.refreshMs : timing.retryMs);
    }
  }

  async function askClient(tool: Tool): Promise<SidecarCapabilities> {
    const client = clients[tool];
    try {
      return await client.askCapabilities({ timeoutMs: timing.answerMs, signal: closing.signal });
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unimplemented) throw error;
      client.forgetCapabilities();
      return { modelVersion: '', limits: {} };
    }
  }

  function setKnown(tool: Tool, capabilities: SidecarCapabilities): void {
    const before = known.get(tool);
    known.set(tool, capabilities);
    silent.delete(tool);
    if (JSON.stringify(before) === JSON.stringify(capabilities)) return;
    const { modelVersion, limits } = capabilities;
    log.info({ tool, model_version: modelVersion, limits }, 'sidecar answers');
    onCapabilities(tool, capabilities);
  }

  function setSilent(tool: Tool, error: unknown): void {
    clients[tool].forgetCapabilities();
    const wasKnown = known.delete(tool);
    if (!silent.has(tool)) log.warn({ tool, err: error }, 'sidecar does not answer');
    silent.add(tool);
    if (wasKnown) onCapabilities(tool, undefined);
  }

  for (const tool of TOOLS) ask(tool);

  return {
    known,
    suspect(tool) {
      if (!asking.has(tool)) askAfter(tool, timing.suspectMs);
    },
    close() {
      closing.abort(new ConnectError('the runner was closed', Code.Canceled));
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
