import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { type CallOptions, Code, type ConnectError } from '@connectrpc/connect';
import {
  type AcceptWorkflowRequestSchema,
  QuotaSchema,
} from '../../src/gen/foldforge/orchestrator/v1/orchestrator_pb.ts';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { type Database, openDatabase } from '../../src/orchestrator/store/database.ts';
import { lockIdempotencyKey } from '../../src/orchestrator/store/idempotency-keys.ts';
import { as, createScriptedRunner, refusal, specOf, untilAborted } from '../orchestrator/harness.ts';
import { type AccountsWorld, hashOf, reasonOf, startAccounts } from '../orchestrator/open-accounts.ts';

type Request = Omit<MessageInitShape<typeof AcceptWorkflowRequestSchema>, '$typeName' | '$unknown'>;

describe('AcceptWorkflow refuses', () => {
  let world: AccountsWorld;
  let database: Database;
  let orchestrator: AccountsWorld['orchestrator'];
  let accounts: AccountsWorld['accounts'];
  const runner = createScriptedRunner();
  runner.work = (_job, _onProgress, signal) => untilAborted(signal);

  before(async () => {
    world = await startAccounts(runner);
    ({ orchestrator, accounts } = world);
    database = await openDatabase(world.databaseUrl, () => {});
  });
  after(async () => {
    await database?.close();
    await world?.close();
  });

  const spec = specOf({ a: [], b: ['a'] });
  const accept = (request: Request, options?: CallOptions) =>
    orchestrator.client.acceptWorkflow({ spec, ...request }, options);
  /** Refused, with this code and reason, and nothing at all has changed. */
  async function refusedFor(call: () => Promise<unknown>, code: Code, reason?: string): Promise<ConnectError> {
    const before = await accounts.footprint();
    const error = await refusal(call());
    assert.deepEqual([Code[error.code], reasonOf(error)], [Code[code], reason], error.rawMessage);
    if (reason) assert.equal(error.findDetails(ErrorInfoSchema)[0]!.domain, 'foldforge.orchestrator');
    assert.deepEqual(await accounts.footprint(), before);
    assert.equal(before.stray_runs, 0);
    return error;
  }

  /** Uses an idempotency key for as long as `work` takes. */
  async function using(scope: string, key: string, work: () => Promise<void>): Promise<void> {
    await database.transaction(async (connection) => {
      await lockIdempotencyKey(connection, { scope, key });
      await work();
    });
  }

  it('what is no request', async () => {
    const long = 'x'.repeat(256);
    const cases: [Request, RegExp][] = [
      [{ spec: undefined }, /needs a spec/],
      [{ spec: specOf({ a: ['b'] }) }, /step "a" depends on "b"/],
      [{ idempotencyKey: long }, /idempotency key has at most 255/],
      [{ idempotencyKey: 'k', bodyDigest: long }, /body digest has at most 255/],
    ];
    for (const [request, message] of cases) {
      const error = await refusedFor(() => accept(request, as('ada')), Code.InvalidArgument);
      assert.match(error.rawMessage, message);
    }
  });

  it('a key that is not good, or not for this', async () => {
    await accounts.grant('bea', 1_000n);
    const revoked = await accounts.newKey('bea', '--expires', '1d');
    const expired = await accounts.newKey('bea', '5', '--expires', '1d');
    const readOnly = await accounts.newKey('bea', '5', '--read-only');
    const good = await accounts.newKey('bea', '5');
    await accounts.command('revoke', await accounts.idOf(revoked));
    await accounts.setKey(expired, 'expires_at = clock_timestamp()');
    const cases: [string, CallOptions, Code, string][] = [
      [hashOf('nobody'), as('bea'), Code.Unauthenticated, 'KEY_UNKNOWN'],
      [revoked, as('bea'), Code.Unauthenticated, 'KEY_REVOKED'],
      [expired, as('bea'), Code.Unauthenticated, 'KEY_EXPIRED'],
      [good, as('somebody-else'), Code.PermissionDenied, 'KEY_OF_ANOTHER'],
      [good, {}, Code.PermissionDenied, 'KEY_OF_ANOTHER'],
      [readOnly, as('bea'), Code.PermissionDenied, 'KEY_READ_ONLY'],
    ];
    for (const [keyHash, caller, code, reason] of cases) {
      await refusedFor(() => accept({ keyHash, idempotencyKey: 'later' }, caller), code, reason);
    }
    await accounts.setKey(revoked, 'expires_at = clock_timestamp()');
    await refusedFor(() => accept({ keyHash: revoked }, as('bea')), Code.Unauthenticated, 'KEY_REVOKED');
    const { replayed } = await accept({ keyHash: good, idempotencyKey: 'later' }, as('bea'));
    assert.equal(replayed, false, 'a refusal does not use up the idempotency key');
  });

  it('what is over the quota, and says when there will be room', async () => {
    await accounts.grant('cem', 1_000n);
    const keyHash = await accounts.newKey('cem', '2', '60');
    const first = await accept({ keyHash }, as('cem'));
    const second = await accept({ keyHash }, as('cem'));
    assert.deepEqual([first.quota?.used, second.quota?.used], [1n, 2n]);
    const error = await refusedFor(() => accept({ keyHash }, as('cem')), Code.ResourceExhausted, 'QUOTA_EXCEEDED');
    const refused = error.findDetails(QuotaSchema)[0]!;
    for (const { limit, used, windowSeconds, resetsIn } of [second.quota!, refused]) {
      assert.deepEqual([limit, used, windowSeconds], [2n, 2n, 60n]);
      const resetsInMs = durationMs(resetsIn!);
      assert.ok(resetsInMs > 50_000 && resetsInMs <= 60_000, `resets in ${resetsInMs} ms`);
    }

    await accounts.setKey(keyHash, `window_started_at = window_started_at - interval '60 seconds'`);
    const next = await accept({ keyHash }, as('cem'));
    assert.equal(next.quota?.used, 1n, 'a new window');
    assert.ok(durationMs(next.quota!.resetsIn!) > 50_000);
  });

  it('what there are too few credits for', async () => {
    await accounts.grant('dan', 39n);
    const keyHash = await accounts.newKey('dan', '5');
    await accept({ keyHash }, as('dan'));
    const error = await refusedFor(
      () => accept({ keyHash, idempotencyKey: 'poor' }, as('dan')),
      Code.FailedPrecondition,
      'INSUFFICIENT_CREDITS',
    );
    assert.deepEqual(error.findDetails(ErrorInfoSchema)[0]?.metadata, { balance: '19', needed: '20' });
    await accounts.grant('dan', 1n);
    const { replayed, quota } = await accept({ keyHash, idempotencyKey: 'poor' }, as('dan'));
    assert.deepEqual([replayed, quota?.used], [false, 2n]);
    assert.equal(await accounts.balance('dan'), 0n);
  });

  it('what is wrong in many ways for the first of them', async () => {
    await accounts.grant('eli', 20n);
    await accept({ idempotencyKey: 'used', bodyDigest: 'one' }, as('eli'));
    const keyHash = await accounts.newKey('eli', '1', '--expires', '1d', '--read-only');
    await accounts.setKey(
      keyHash,
      `used = 1, window_started_at = now(), revoked_at = now(), expires_at = now(), principal = 'other'`,
    );
    const all: Request = { keyHash, idempotencyKey: 'used', bodyDigest: 'two' };
    await refusedFor(() => accept({ ...all, spec: specOf({}) }, as('eli')), Code.InvalidArgument);
    await refusedFor(() => accept(all, as('eli')), Code.AlreadyExists, 'IDEMPOTENCY_KEY_REUSED');
    const rest = { ...all, idempotencyKey: 'free' };
    await using('eli', 'free', async () => {
      await refusedFor(() => accept({ ...rest, spec: specOf({}) }, as('eli')), Code.InvalidArgument);
      await refusedFor(() => accept(rest, as('eli')), Code.Aborted, 'IDEMPOTENCY_KEY_IN_FLIGHT');
    });
    const mended: [string, Code, string][] = [
      ['key_hash = key_hash', Code.Unauthenticated, 'KEY_REVOKED'],
      ['revoked_at = null', Code.Unauthenticated, 'KEY_EXPIRED'],
      ['expires_at = null', Code.PermissionDenied, 'KEY_OF_ANOTHER'],
      [`principal = 'eli'`, Code.PermissionDenied, 'KEY_READ_ONLY'],
      ['read_only = false', Code.ResourceExhausted, 'QUOTA_EXCEEDED'],
      ['used = 0', Code.FailedPrecondition, 'INSUFFICIENT_CREDITS'],
    ];
    for (const [assignment, code, reason] of mended) {
      await accounts.setKey(keyHash, assignment);
      await refusedFor(() => accept(rest, as('eli')), code, reason);
    }
    await accounts.grant('eli', 20n);
    const accepted = await accept(rest, as('eli'));
    assert.deepEqual([accepted.replayed, accepted.quota?.used], [false, 1n]);
    await accounts.checkLedger('eli');
  });

  it('and counts what became of each', async () => {
    await accounts.grant('fritz', 20n);
    const [keyHash, small] = [await accounts.newKey('fritz', '1'), await accounts.newKey('fritz')];
    const once: Request = { keyHash, idempotencyKey: 'once', bodyDigest: 'one' };
    const before = await submissions();
    await accept(once, as('fritz'));
    await accept(once, as('fritz'));
    await refusal(accept({ spec: specOf({}) }, as('fritz')));
    await refusal(accept({ ...once, bodyDigest: 'two' }, as('fritz')));
    await using('fritz', 'free', async () => {
      await refusal(accept({ ...once, idempotencyKey: 'free' }, as('fritz')));
    });
    await refusal(accept({ keyHash: hashOf('nobody') }, as('fritz')));
    await refusal(accept({ keyHash }, as('somebody-else')));
    await refusal(accept({ keyHash }, as('fritz')));
    await refusal(accept({ keyHash: small }, as('fritz')));
    await refusal(orchestrator.client.submitWorkflow({ spec }, as('fritz')));
    const counted = Object.entries(await submissions()).map(([result, count]) => [result, count - before[result]!]);
    assert.deepEqual(Object.fromEntries(counted), {
      accepted: 1,
      replayed: 1,
      invalid: 1,
      in_flight: 1,
      reused: 1,
      key: 2,
      quota: 1,
      credits: 2,
      failed: 0,
    });
  });

  async function submissions(): Promise<Record<string, number>> {
    const response = await fetch(`http://127.0.0.1:${orchestrator.metricsPort}/metrics`);
    const pattern = /^foldforge_orchestrator_submissions_total\{result="(\w+)"\} (\d+)$/gm;
    return Object.fromEntries(
      [...(await response.text()).matchAll(pattern)].map(([, name, count]) => [name, Number(count)]),
    );
  }
});
