import type { MessageInitShape } from '@bufbuild/protobuf';
import { type CallOptions, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import {
  Health,
  type HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../gen/grpc/health/v1/health_pb.ts';

/**
 * Asks all servers at once, and answers with the first that is SERVING. Throws a ConnectError that names what each of them
 * said when there is none; UNIMPLEMENTED when that is what one of them said.
 */
export async function checkEach(
  servers: readonly { readonly address: string; readonly transport: Transport }[],
  request: MessageInitShape<typeof HealthCheckRequestSchema>,
  options: CallOptions = {},
): Promise<HealthCheckResponse> {
  const enough = new AbortController();
  const signal = AbortSignal.any([enough.signal, ...(options.signal ? [options.signal] : [])]);
  const answers = servers.map(async ({ address, transport }) => {
    const answer = await createClient(Health, transport)
      .check(request, { ...options, signal })
      .catch((thrown) => {
        const { code, rawMessage } = ConnectError.from(thrown);
        throw new ConnectError(`${address}: ${rawMessage}`, code, undefined, undefined, thrown);
      });
    if (answer.status === ServingStatus.SERVING) return answer;
    throw new ConnectError(`${address}: ${statusName(answer)}`, Code.Unavailable);
  });
  try {
    return await Promise.any(answers);
  } catch (thrown) {
    const errors = (thrown as AggregateError).errors as readonly ConnectError[];
    const code = errors.some((error) => error.code === Code.Unimplemented) ? Code.Unimplemented : Code.Unavailable;
    throw new ConnectError(errors.map(({ rawMessage }) => rawMessage).join('; '), code);
  } finally {
    enough.abort();
  }
}

/** As the protocol names it; one that is newer than we are has a number. */
export function statusName({ status }: Pick<HealthCheckResponse, 'status'>): string {
  return Object.entries(ServingStatus).find(([, value]) => value === status)?.[0] ?? String(status);
}
