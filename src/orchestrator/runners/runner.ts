/** The four tools a step can name. */
export const TOOLS = ['rfdiffusion', 'proteinmpnn', 'boltz', 'af2'] as const;
export type Tool = (typeof TOOLS)[number];

/** A file in the object store. JSON-safe: it is kept as jsonb and passes through the engine's own log. */
export interface ArtifactRecord {
  /** r2://<bucket>/<key> */
  readonly uri: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface SequenceRecord {
  readonly fasta: string;
  readonly globalScore: number;
  readonly seqRecovery: number;
  readonly sampleIndex: number;
}

/** What a step made. */
export interface StepOutput {
  readonly artifacts: readonly ArtifactRecord[];
  readonly sequences: readonly SequenceRecord[];
}

/** Why a step failed, in a sidecar's words: `code` is a machine word such as OOM or INVALID_CONTIG. */
export interface StepFault {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

export type StepOutcome = { readonly output: StepOutput } | { readonly fault: StepFault };

/** What a step asks for; 0 and the empty text leave it to the tool. */
export interface Resources {
  readonly gpuType: string;
  readonly gpuCount: number;
  readonly cpuCores: number;
  readonly memoryMb: number;
  /** How long one attempt may take. */
  readonly timeoutSeconds: number;
}

export type Params = Readonly<Record<string, unknown>>;

/** A step before it is accepted. */
export interface PlannedStep {
  readonly tool: Tool;
  readonly params: Params;
  readonly resources: Resources;
  /** The tools of the steps that it depends on. */
  readonly inputTools: readonly Tool[];
}

export interface StepJob {
  /** `<workflow>/<step>#<attempt>`: the same for a run that is repeated after a crash. */
  readonly requestId: string;
  readonly workflowId: string;
  readonly stepId: string;
  readonly tool: Tool;
  /** From 1; each retry adds one. */
  readonly attempt: number;
  readonly params: Params;
  readonly resources: Resources;
  /** W3C Trace Context of the call that submitted the workflow; undefined: it had none. */
  readonly traceparent: string | undefined;
  /** What the steps that this one depends on made, by step id. */
  readonly inputs: Readonly<Record<string, StepOutput>>;
}

/** `fraction` is 0 to 1. */
export type OnProgress = (progress: { readonly fraction: number; readonly message: string }) => void;

/**
 * Runs steps. A failure of the work is a value; a throw means that the run was aborted by `signal` or that the
 * runner itself broke, and the engine may run the same job again.
 */
export interface Runner {
  /** What is wrong with a step that could never succeed, in words for its author; undefined: nothing that is known yet. */
  readonly findFault: (step: PlannedStep) => string | undefined;
  readonly run: (job: StepJob, onProgress: OnProgress, signal: AbortSignal) => Promise<StepOutcome>;
  readonly close: () => Promise<void>;
}
