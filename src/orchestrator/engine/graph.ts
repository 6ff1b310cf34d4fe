import type { Step, WorkflowSpec } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { TOOLS } from '../runners/runner.ts';

const MAX_NAME_CHARACTERS = 200;
const MAX_STEPS = 256;
// Decoders of protobuf follow nesting only so far, and every event wraps the spec in some levels more.
const MAX_PARAMS_DEPTH = 32;
const STEP_ID = /^[A-Za-z0-9_.-]{1,64}$/;
// The message travels in a gRPC trailer, and peers refuse large ones.
const MAX_CYCLE_SHOWN = 12;
const MAX_QUOTED_CHARACTERS = 64;

/** A spec that cannot be run; the message is for its author and names the step. */
export class SpecError extends Error {
  override readonly name = 'SpecError';
}

/**
 * Checks what the contract says of a WorkflowSpec (contract/http, Objects): sizes, ids, tools, and a graph without
 * cycles; and that it is not nested too deep to be read back. Linear in steps and dependencies. Throws SpecError.
 */
export function checkSpec(spec: WorkflowSpec): void {
  const nameLength = countCharacters(spec.name);
  if (nameLength === 0) throw new SpecError('the workflow needs a name');
  if (nameLength > MAX_NAME_CHARACTERS) {
    throw new SpecError(`the workflow's name has ${nameLength} characters, but at most ${MAX_NAME_CHARACTERS} may be`);
  }
  if (spec.steps.length === 0) throw new SpecError('the workflow has no steps');
  if (spec.steps.length > MAX_STEPS) {
    throw new SpecError(`the workflow has ${spec.steps.length} steps, but at most ${MAX_STEPS} may be`);
  }
  const steps = indexSteps(spec.steps);
  for (const step of spec.steps) checkDependencies(step, steps);
  const cycle = findCycle(steps);
  if (cycle) throw new SpecError(`steps ${showCycle(cycle)} depend on each other`);
}

function indexSteps(steps: readonly Step[]): ReadonlyMap<string, Step> {
  const byId = new Map<string, Step>();
  for (const [index, step] of steps.entries()) {
    if (!STEP_ID.test(step.id)) {
      throw new SpecError(
        `step ${index + 1} has the id ${quote(step.id)}, but an id is 1 to 64 letters, digits, "_", "." or "-"`,
      );
    }
    if (byId.has(step.id)) throw new SpecError(`two steps have the id ${quote(step.id)}`);
    if (!TOOLS.some((tool) => tool === step.tool)) {
      throw new SpecError(
        `step ${quote(step.id)} names the tool ${quote(step.tool)}, but must name one of: ${TOOLS.join(', ')}`,
      );
    }
    if (isDeeper(step.params, MAX_PARAMS_DEPTH)) {
      throw new SpecError(`the params of step ${quote(step.id)} are nested more than ${MAX_PARAMS_DEPTH} levels deep`);
    }
    byId.set(step.id, step);
  }
  return byId;
}

/** Whether objects and lists are nested in each other more than `levels` times. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

function checkDependencies(step: Step, steps: ReadonlyMap<string, Step>): void {
  const seen = new Set<string>();
  for (const id of step.dependsOn) {
    if (id === step.id) throw new SpecError(`step ${quote(step.id)} depends on itself`);
    if (!steps.has(id)) {
      throw new SpecError(`step ${quote(step.id)} depends on ${quote(id)}, which is no step of this workflow`);
    }
    if (seen.has(id)) throw new SpecError(`step ${quote(step.id)} depends on ${quote(id)} twice`);
    seen.add(id);
  }
}

/** The ids of one cycle, each depending on the next and the last on the first; undefined when there is none. */
function findCycle(steps: ReadonlyMap<string, Step>): string[] | undefined {
  const stuck = stepsThatNeverStart(steps);
  const path = new Map<string, number>();
  // Every stuck step depends on a stuck step, so that this walk must meet itself.
  let id = stuck.values().next().value;
  while (id !== undefined && !path.has(id)) {
    path.set(id, path.size);
    id = steps.get(id)?.dependsOn.find((needed) => stuck.has(needed));
  }
  return id === undefined ? undefined : [...path.keys()].slice(path.get(id));
}

function stepsThatNeverStart(steps: ReadonlyMap<string, Step>): ReadonlySet<string> {
  const dependents = new Map<string, string[]>();
  const waitsFor = new Map<string, number>();
  for (const { id, dependsOn } of steps.values()) {
    waitsFor.set(id, dependsOn.length);
    for (const needed of dependsOn) {
      const known = dependents.get(needed);
      if (known) known.push(id);
      else dependents.set(needed, [id]);
    }
  }
  const ready = [...waitsFor].filter(([, count]) => count === 0).map(([id]) => id);
  const stuck = new Set(steps.keys());
  for (const id of ready) {
    stuck.delete(id);
    for (const dependent of dependents.get(id) ?? []) {
      const left = waitsFor.get(dependent)! - 1;
      waitsFor.set(dependent, left);
      if (left === 0) ready.push(dependent);
    }
  }
  return stuck;
}

function showCycle(cycle: readonly string[]): string {
  const left = cycle.length - MAX_CYCLE_SHOWN;
  const shown = cycle.slice(0, MAX_CYCLE_SHOWN);
  return [...shown, ...(left > 0 ? [`(${left} more)`] : []), cycle[0]].join(' -> ');
}

function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED_CHARACTERS ? `${text.slice(0, MAX_QUOTED_CHARACTERS)}…` : text);
}

/** Code points, which is what JSON Schema's maxLength counts. */
function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
