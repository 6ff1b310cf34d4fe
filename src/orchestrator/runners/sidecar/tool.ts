import type { Message } from '@bufbuild/protobuf';
import type { CallOptions, Transport } from '@connectrpc/connect';
import type { ErrorDetail, ProgressEvent } from '../../../gen/foldforge/common/v1/common_pb.ts';
import type { ArtifactRecord, PlannedStep, Resources, SequenceRecord, StepJob, StepOutput, Tool } from '../runner.ts';
import { refuse, StepFailure } from '../step-failure.ts';
import type { MadeFile } from '../upload.ts';
import { cleanText } from './clean-text.ts';
import { type ParamTable, readParams, type ValuesOf } from './param-table.ts';

/** What a run made. `files` are those that are still to be stored. */
export interface Made {
  readonly artifacts: readonly ArtifactRecord[];
  readonly sequences: readonly SequenceRecord[];
  readonly files: readonly MadeFile[];
}

const MAX_VERSION_CHARACTERS = 100;

type RunEvent<Result> =
  | { readonly case: 'progress'; readonly value: ProgressEvent }
  | { readonly case: 'result'; readonly value: Result }
  | { readonly case: 'error'; readonly value: ErrorDetail }
  // A case that a later contract knows.
  | { readonly case: undefined; readonly value?: undefined };

export type Update = RunEvent<Made>;

/** A checked and translated run, which is yet to be made. Iterating it throws ConnectError, and StepFailure. */
export type Call = (options: CallOptions) => AsyncIterable<Update>;

/** What a sidecar says of itself. */
export interface SidecarCapabilities {
  /** Empty: it does not tell. */
  readonly modelVersion: string;
  /** The other fields of its Capabilities, for the log. */
  readonly limits: Readonly<Record<string, unknown>>;
}

/** One tool's sidecar. It remembers what the sidecar said of itself, and holds steps against that. */
export interface SidecarClient {
  /** Throws ConnectError. */
  readonly askCapabilities: (options: CallOptions) => Promise<SidecarCapabilities>;
  readonly forgetCapabilities: () => void;
  readonly findFault: (step: PlannedStep) => string | undefined;
  /** Throws StepFailure: INVALID_ARGUMENT, or INVALID_INPUT when the earlier steps did not make what this one needs. */
  readonly prepare: (job: StepJob) => Call;
}

/** Makes the client of one tool, over a gRPC transport. */
export type ConnectTool = (transport: Transport) => SidecarClient;

interface ToolStub<Request, Result, Told> {
  readonly run: (request: Request, options: CallOptions) => AsyncIterable<{ readonly event: RunEvent<Result> }>;
  readonly getCapabilities: (request: Record<string, never>, options: CallOptions) => Promise<Told>;
}

interface ToolParts<Table extends ParamTable, Request, Result, Told> {
  readonly tool: Tool;
  readonly params: Table;
  readonly createStub: (transport: Transport) => ToolStub<Request & { resources: Resources }, Result, Told>;
  /** Throws StepFailure for values that do not go together, or need what no step of `inputTools` makes. */
  readonly checkPlan: (values: ValuesOf<Table>, inputTools: readonly Tool[]) => void;
  readonly requestOf: (values: ValuesOf<Table>, inputs: readonly StepOutput[]) => Request;
  /** What of this the sidecar cannot do. `request` is undefined as long as the inputs are. */
  readonly findExcess: (
    told: Told,
    values: ValuesOf<Table>,
    resources: Resources,
    request: Request | undefined,
  ) => string | undefined;
  /** Throws StepFailure, SIDECAR_PROTOCOL. */
  readonly madeOf: (result: Result) => Made;
}

/** Puts together what is peculiar to a tool with what all of them have in common. */
export function defineTool<
  Table extends ParamTable,
  Request,
  Result,
  Told extends Message & { readonly modelVersion: string },
>(parts: ToolParts<Table, Request, Result, Told>): ConnectTool {
  const { tool, params: table, createStub, checkPlan, requestOf, findExcess, madeOf } = parts;

  return (transport) => {
    const stub = createStub(transport);
    let told: Told | undefined;

    function checkExcess(values: ValuesOf<Table>, resources: Resources, request: Request | undefined): void {
      const excess = told && findExcess(told, values, resources, request);
      if (excess !== undefined) throw refuse('INVALID_ARGUMENT', excess);
    }

    function findFault({ params, resources, inputTools }: PlannedStep): string | undefined {
      try {
        const values = readParams(table, params, 'params', tool);
        checkPlan(values, inputTools);
        checkExcess(values, resources, undefined);
        return undefined;
      } catch (error) {
        if (error instanceof StepFailure) return error.fault.message;
        throw error;
      }
    }

    function prepare({ params, resources, inputs }: StepJob): Call {
      const values = readParams(table, params, 'params', tool);
      const request = requestOf(values, Object.values(inputs));
      checkExcess(values, resources, request);
      return async function* call(options) {
        for await (const { event } of stub.run({ ...request, resources }, options)) {
          yield event.case === 'result' ? { case: 'result', value: madeOf(event.value) } : event;
        }
      };
    }

    return {
      async askCapabilities(options) {
        told = await stub.getCapabilities({}, options);
        const { $typeName: _, $unknown: __, modelVersion, ...limits } = told;
        return { modelVersion: cleanText(modelVersion, MAX_VERSION_CHARACTERS), limits };
      },
      forgetCapabilities() {
        told = undefined;
      },
      findFault,
      prepare,
    };
  };
}
