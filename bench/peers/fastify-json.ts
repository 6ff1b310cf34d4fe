import type {
  Seconds,
  StepMessage,
  StepStatusMessage,
  Struct,
  Value,
  WorkflowMessage,
} from './fastify-orchestrator.ts';

// proto-loader's objects to the JSON of openapi.yaml, and a submission the other way.

const STATE_PREFIX = 'JOB_STATE_';
const UNKNOWN_STATE = 'JOB_STATE_UNSPECIFIED';

export function workflowToJson({ id, spec, state, step_statuses, created_at, updated_at }: WorkflowMessage) {
  return {
    id,
    name: spec?.name ?? '',
    state: stateToJson(state),
    steps: (spec?.steps ?? []).map(stepToJson),
    step_statuses: step_statuses.map(stepStatusToJson),
    labels: spec?.labels ?? {},
    created_at: timeToJson(created_at),
    updated_at: timeToJson(updated_at),
  };
}

function stepToJson({ id, tool, depends_on, params, resources }: StepMessage) {
  return {
    id,
    tool,
    depends_on,
    params: params ? structToJson(params) : {},
    resources: resources
      ? {
          gpu_type: resources.gpu_type || undefined,
          gpu_count: resources.gpu_count,
          cpu_cores: resources.cpu_cores || undefined,
          memory_mb: resources.memory_mb || undefined,
          timeout_seconds: resources.timeout_seconds || undefined,
        }
      : undefined,
  };
}

function stepStatusToJson(status: StepStatusMessage) {
  return {
    step_id: status.step_id,
    state: stateToJson(status.state),
    fraction: Number(status.fraction.toPrecision(7)),
    outputs: status.outputs,
    sequences: status.sequences,
    error: status.error ?? undefined,
    started_at: timeToJson(status.started_at),
    finished_at: timeToJson(status.finished_at),
  };
}

function stateToJson(state: string): string {
  return state === UNKNOWN_STATE || !state.startsWith(STATE_PREFIX) ? 'UNKNOWN' : state.slice(STATE_PREFIX.length);
}

function timeToJson(time: Seconds | null): string | undefined {
  return time ? new Date(time.seconds * 1000 + time.nanos / 1e6).toISOString() : undefined;
}

function structToJson({ fields }: Struct): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const name in fields) json[name] = valueToJson(fields[name]!);
  return json;
}

function valueToJson(value: Value): unknown {
  switch (value.kind) {
    case 'nullValue':
      return null;
    case 'numberValue':
      return value.numberValue;
    case 'stringValue':
      return value.stringValue;
    case 'boolValue':
      return value.boolValue;
    case 'structValue':
      return structToJson(value.structValue);
    case 'listValue':
      return value.listValue.values.map(valueToJson);
  }
}

/** A WorkflowSpec of openapi.yaml that was validated. */
export interface SpecJson {
  readonly name: string;
  readonly steps: readonly {
    readonly id: string;
    readonly tool: string;
    readonly depends_on?: readonly string[];
    readonly params?: Readonly<Record<string, unknown>>;
    readonly resources?: object;
  }[];
  readonly labels?: Readonly<Record<string, string>>;
}

export function specFromJson({ name, steps, labels }: SpecJson) {
  return {
    name,
    labels,
    steps: steps.map((step) => ({ ...step, params: structFromJson(step.params ?? {}) })),
  };
}

function structFromJson(json: Readonly<Record<string, unknown>>) {
  const fields: Record<string, object> = {};
  for (const name of Object.keys(json)) fields[name] = valueFromJson(json[name]);
  return { fields };
}

function valueFromJson(json: unknown): object {
  if (typeof json === 'string') return { stringValue: json };
  if (typeof json === 'number') return { numberValue: json };
  if (typeof json === 'boolean') return { boolValue: json };
  if (json === null) return { nullValue: 0 };
  if (Array.isArray(json)) return { listValue: { values: json.map(valueFromJson) } };
  return { structValue: structFromJson(json as Record<string, unknown>) };
}
