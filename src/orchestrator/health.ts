import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { OrchestratorService } from '../gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import {
  type Health,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '../gen/grpc/health/v1/health_pb.ts';
import type { Readiness } from './readiness.ts';

const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;

/** grpc.health.v1. Watch is left out, which the protocol allows. */
export function createHealth(readiness: Readiness): Pick<ServiceImpl<typeof Health>, 'check'> {
  return {
    async check({ service }) {
      if (service !== '' && service !== OrchestratorService.typeName) {
        throw new ConnectError('no such service', Code.NotFound);
      }
      const fault = await readiness.findFault();
      return create(HealthCheckResponseSchema, { status: fault ? NOT_SERVING : SERVING });
    },
  };
}
