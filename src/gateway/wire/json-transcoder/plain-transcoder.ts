import { fromBinary } from '@bufbuild/protobuf';
import {
  AcceptWorkflowResponseSchema,
  ListWorkflowsResponseSchema,
  WorkflowSchema,
} from '../../../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { workflowListToJson, workflowToJson } from '../workflow-json.ts';
import type { JsonTranscoder } from './json-transcoder.ts';

/** The same by way of messages and objects: what the JSON is, in every case. */
export const PLAIN_TRANSCODER: JsonTranscoder = {
  workflowBytesToJson: (bytes) => jsonBytes(workflowToJson(fromBinary(WorkflowSchema, bytes))),
  workflowListBytesToJson(bytes) {
    const list = fromBinary(ListWorkflowsResponseSchema, bytes);
    return { body: jsonBytes(workflowListToJson(list)), nextPageToken: list.nextPageToken };
  },
  acceptedBytesToJson(bytes) {
    const { workflow, replayed, quota } = fromBinary(AcceptWorkflowResponseSchema, bytes);
    return workflow && { body: jsonBytes(workflowToJson(workflow)), id: workflow.id, replayed, quota };
  },
};

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
