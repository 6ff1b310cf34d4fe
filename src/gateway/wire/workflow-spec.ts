import type { JsonObject, JsonValue, MessageInitShape } from '@bufbuild/protobuf';
import type { WorkflowSpecSchema } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { GatewayError } from '../errors.ts';
import { jsonPointer } from './json-pointer.ts';

/** A WorkflowSpec as openapi.yaml has it. */
export interface WorkflowSpecJson {
  readonly name: string;
  readonly steps: readonly StepSpecJson[];
  readonly labels?: Readonly<Record<string, string>>;
}

interface StepSpecJson {
  readonly id: string;
  readonly tool: string;
  readonly depends_on?: readonly string[];
  readonly params?: JsonObject;
  readonly resources?: {
    readonly gpu_type?: string;
    readonly gpu_count?: number;
    readonly cpu_cores?: number;
    readonly memory_mb?: number;
    readonly timeout_seconds?: number;
  };
}

/** A google.protobuf.Struct spends three messages on each level, and decoders stop at 100. */
const MAX_PARAMS_DEPTH = 32;

/** The validated JSON of a spec as a protobuf message. Throws INVALID_ARGUMENT for params too deep for protobuf. */
export function workflowSpecFromJson(spec: WorkflowSpecJson): MessageInitShape<typeof WorkflowSpecSchema> {
  for (const [index, { params }] of spec.steps.entries()) checkDepth(params, ['steps', index, 'params'], 0);
  return { name: spec.name, steps: spec.steps.map(stepFromJson), labels: { ...spec.labels } };
}

function stepFromJson({ id, tool, depends_on, params, resources }: StepSpecJson) {
  return {
    id,
    tool,
    dependsOn: [...(depends_on ?? [])],
    params: params ?? {},
    ...(resources && {
      resources: {
        gpuType: resources.gpu_type ?? '',
        gpuCount: resources.gpu_count ?? 1,
        cpuCores: resources.cpu_cores ?? 0,
        memoryMb: resources.memory_mb ?? 0,
        timeoutSeconds: resources.timeout_seconds ?? 0,
      },
    }),
  };
}

/** `place` are the names and indices that lead to the value, of which a pointer is made only for a fault. */
function checkDepth(value: JsonValue | undefined, place: (string | number)[], depth: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth === MAX_PARAMS_DEPTH) throw tooDeep(place);
  for (const name of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    const member = (value as Record<string | number, JsonValue>)[name];
    if (typeof member !== 'object' || member === null) continue;
    place.push(name);
    checkDepth(member, place, depth + 1);
    place.pop();
  }
}

function tooDeep(place: readonly (string | number)[]): GatewayError {
  const pointer = jsonPointer(place);
  const message = `is nested deeper than ${MAX_PARAMS_DEPTH} levels`;
  return new GatewayError('INVALID_ARGUMENT', `${pointer} ${message}`, { faults: [{ pointer, message }] });
}
