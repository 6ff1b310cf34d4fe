import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import type { WorkflowSpecSchema } from '../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';

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

/** The validated JSON of a spec as a protobuf message. */
export function workflowSpecFromJson(spec: WorkflowSpecJson): MessageInitShape<typeof WorkflowSpecSchema> {
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
