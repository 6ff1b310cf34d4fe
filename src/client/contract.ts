import type { components } from '../gen/openapi.ts';

// The objects of openapi.yaml that a client meets.
type Schemas = components['schemas'];
export type Workflow = Schemas['Workflow'];
export type State = Schemas['State'];
export type StepStatus = Schemas['StepStatus'];
export type Artifact = Schemas['Artifact'];
export type WorkflowEvent = Schemas['WorkflowEvent'];
export type WorkflowList = Schemas['WorkflowList'];
export type RankRequest = Schemas['RankRequest'];
export type Ranking = Schemas['Ranking'];
export type ErrorBody = Schemas['Error'];
