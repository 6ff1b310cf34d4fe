import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { JobState } from '../../src/gen/foldforge/common/v1/common_pb.ts';
import { NOWHERE } from '../support/canaries.ts';
import { as, isPublic, listScenarios } from '../support/leak-scenarios.ts';
import { forAll, type LeakWorld, startLeakWorld } from '../support/leak-world.ts';
import type { RawRequest } from '../support/raw-http.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Names under which people put keys into URLs. */
const QUERY_NAMES =
  'access_token accessToken access%5Ftoken api_key apikey api-key apiKey key token auth authorization bearer ticket password passwd secret client_secret jwt sig signature X-Api-Key X-Amz-Signature token[] last_event_id';

/** Headers in which keys are sent, or find themselves, besides the one that is for them. */
const HEADERS: Readonly<Record<string, (secret: string) => string | readonly string[]>> = {
  Authorization: (secret) => secret,
  'authorization ': (secret) => `Basic ${base64(`user:${secret}`)}`,
  AUTHORIZATION: (secret) => `Basic ${base64(`${secret}:`)}`,
  'Proxy-Authorization': (secret) => `Bearer ${secret}`,
  'X-Api-Key': (secret) => secret,
  'Api-Key': (secret) => secret,
  'X-Auth-Token': (secret) => secret,
  Cookie: (secret) => [`session=${secret}`, `token=${secret}; Path=/`],
  Referer: (secret) => `https://example.org/?token=${secret}`,
  'User-Agent': (secret) => `curl/8 (${secret})`,
  Origin: (secret) => `https://${secret}.example.org`,
  'Access-Control-Request-Headers': (secret) => secret,
  'X-Forwarded-For': (secret) => secret,
  Forwarded: (secret) => `for=${secret};host=${secret}`,
  Accept: (secret) => `application/${secret}, application/problem+json`,
  'Accept-Language': (secret) => secret,
  'Accept-Encoding': (secret) => secret,
  'Last-Event-ID': (secret) => secret,
  'If-None-Match': (secret) => `"${secret}"`,
  'If-Range': (secret) => `"${secret}"`,
  Range: (secret) => `bytes=${secret}`,
  'Content-Type': (secret) => `application/${secret}`,
  'Content-Encoding': (secret) => secret,
  'Stripe-Signature': (secret) => `t=${secret},v1=${secret}`,
  Traceparent: (secret) => `00-${secret}-01`,
  Tracestate: (secret) => `vendor=${secret}`,
  Baggage: (secret) => `key=${secret}`,
  Host: (secret) => `user:${secret}@gateway.test`,
  'X-Something': (secret) => secret,
};

/** One that waits a second for nothing would be asked a hundred times. */
const SCENARIOS = listScenarios().filter(({ way }) => way !== 'waiting');
const ONE_EACH = [...new Map(SCENARIOS.toReversed().map((each) => [each.operation, each])).values()];

type Misplacement = (request: RawRequest, secret: string) => RawRequest;

const withHeader = (request: RawRequest, name: string, value: string | readonly string[]): RawRequest => {
  const others = Object.entries(request.headers ?? {}).filter(([other]) => other.toLowerCase() !== name.toLowerCase());
  return { ...request, headers: { ...Object.fromEntries(others), [name]: value } };
};
const withQuery = (request: RawRequest, query: string): RawRequest => {
  return { ...request, target: `${request.target}${request.target.includes('?') ? '&' : '?'}${query}` };
};

const MISPLACEMENTS = new Map<string, Misplacement>([
  ...QUERY_NAMES.split(' ').map((name): [string, Misplacement] => [
    `the query, as ${name}`,
    (request, secret) => withQuery(request, `${name}=${secret}`),
  ]),
  ...Object.entries(HEADERS).map(([name, value]): [string, Misplacement] => [
    `the header ${name}`,
    (request, secret) => withHeader(request, name.trim(), value(secret)),
  ]),
  ['the userinfo of the target', (request, secret) => withTarget(request, `http://user:${secret}@gateway.test`)],
  ['the user of the target', (request, secret) => withTarget(request, `http://${secret}@gateway.test`)],
  ['a path that is not there', (request, secret) => ({ ...request, target: `/v1/${secret}${request.target}` })],
]);

function withTarget(request: RawRequest, origin: string): RawRequest {
  return { ...request, target: `${origin}${request.target}` };
}

describe('no credential leaks', () => {
  let world: LeakWorld;
  before(async () => {
    world = await startLeakWorld();
  });
  after(() => world?.close());

  it('that is refused', async () => {
    const { canaries } = world;
    const refused = {
      revoked: world.addKey('a revoked key', { denyReason: 'revoked' }),
      expired: world.addKey('an expired key', { denyReason: 'expired' }),
      unknown: world.addKey('an unknown key', { known: false }),
      opaque: world.addKey('an unknown key of an older form', { known: false, minted: false }),
      mistyped: canaries
        .plantKey('a key with a bad checksum', NOWHERE)
        .replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      half: world.tokens[0]!.slice(0, 14),
      both: `${canaries.plant('two words', NOWHERE)} ${canaries.plant('of which none is good', NOWHERE)}`,
    };
    canaries.watchHash('a key with a bad checksum', refused.mistyped, NOWHERE);
    const cells = SCENARIOS.flatMap((each) => Object.values(refused).map((token) => ({ ...each, token })));
    await forAll(cells, async ({ operation, scenario, token }) => {
      const answer = await world.ask(as(token, scenario(world).request));
      if (!isPublic(operation)) assert.equal(answer.status, 401, `${operation}: ${answer.body}`);
    });
    const readOnly = world.addKey('a read-only key', { readOnly: true });
    const statuses = new Set<number>();
    await forAll(SCENARIOS, async ({ scenario }) => {
      statuses.add((await world.ask(as(readOnly, scenario(world).request))).status);
    });
    assert.ok(statuses.has(403));
    await world.settle();
    canaries.checkSightings(/^the hash of an? (revoked|expired|unknown|read-only) key/);
  });

  for (const presence of ['next to a good one', 'alone']) {
    it(`in the wrong place, ${presence}`, async () => {
      const cells = [...MISPLACEMENTS].flatMap(([place, misplace]) => {
        const secrets = [
          world.canaries.plantKey(`a key in ${place}`, NOWHERE),
          world.canaries.plant(`a token in ${place}`, NOWHERE),
        ];
        const chosen = presence === 'alone' ? ONE_EACH.filter((_each, index) => index % 4 === 0) : ONE_EACH;
        return chosen.map((each, index) => ({ ...each, place, misplace, secret: secrets[index % 2]! }));
      });
      await forAll(cells, async ({ operation, scenario, place, misplace, secret }) => {
        const { request } = scenario(world);
        const good = isPublic(operation) || presence === 'alone' ? request : as(world.good.minted, request);
        const answer = await world.ask(misplace(good, secret));
        const isWrong = /^the query|a path that/.test(place) && !place.endsWith('last_event_id');
        if (isWrong) assert.ok(answer.status >= 400 && answer.status < 500, `${operation}, ${place}: ${answer.status}`);
        assert.ok(
          answer.status > 0 && answer.status !== 500,
          `${operation}, ${place}: ${answer.status} ${answer.body}`,
        );
      });
      await world.settle();
    });
  }

  it('with another method', async () => {
    const targets = new Set(SCENARIOS.map(({ scenario }) => scenario(world).request.target));
    const methods = ['HEAD', 'OPTIONS', 'PUT', 'PATCH', 'TRACE', 'PROPFIND'];
    const cells = [...targets].flatMap((target) => methods.map((method) => ({ method, target })));
    await forAll(cells, async ({ method, target }) => {
      for (const token of [world.good.opaque, world.tokens[1]!]) {
        const answer = await world.ask(as(token, { method, target }));
        assert.ok(answer.status > 0 && answer.status < 500, `${method} ${target}: ${answer.status}`);
      }
    });
    await world.settle();
  });

  it('as the id of a workflow, which the orchestrator alone is asked for', async () => {
    const key = world.canaries.plantKey('a key in a path', { must: ['orchestrator'] });
    for (const rest of ['', '/events', '/artifacts/artifacts/x.pdb', `?wait=1`]) {
      const answer = await world.ask(as(world.good.minted, { target: `/v1/workflows/${key}${rest}` }));
      assert.equal(answer.status, 404);
    }
    const file = world.canaries.plantKey('a key in the name of a file', NOWHERE);
    const target = `/v1/workflows/${world.addWorkflow(JobState.SUCCEEDED)}/artifacts/${file}`;
    assert.equal((await world.ask(as(world.good.minted, { target }))).status, 404);
    await world.settle();
    world.canaries.checkSightings(/^a key in a path/);
  });

  it('that is a stream ticket', async () => {
    const { good, canaries } = world;
    const id = world.addWorkflow(JobState.SUCCEEDED);
    const other = world.addWorkflow(JobState.RUNNING);
    const made = await world.ask(as(good.minted, { method: 'POST', target: `/v1/workflows/${id}/stream-tickets` }));
    const { ticket } = JSON.parse(made.body) as { ticket: string };
    for (const part of ticket.slice(4).split('.')) canaries.watch('a ticket', part, { must: ['body'] });
    canaries.scan('body', made.body);
    const strangers = ['a ticket secret that is not ours'.padEnd(40, 'x')];
    const tickets: [status: number, ticket: string][] = [
      [200, ticket],
      [200, world.mintTicket(id, 'a ticket of the operator')],
      [401, world.mintTicket(other, 'a ticket for another workflow')],
      [401, world.mintTicket(id, 'a ticket of a stranger', { secrets: strangers })],
      [401, world.mintTicket(id, 'a ticket that has run out', { now: () => Date.now() - 70_000 })],
      [401, `${ticket}x`],
      [401, ticket.replace('.', '..')],
      [400, good.minted],
      [400, good.opaque],
      [400, world.tokens[1]!],
    ];
    for (const [status, given] of tickets) {
      for (const query of [`ticket=${given}`, `%74icket=${given}&heartbeat=event`]) {
        const answer = await world.ask({ target: `/v1/workflows/${id}/events?${query}` });
        assert.equal(answer.status, status, answer.body);
      }
      const target = `/v1/workflows/${id}/events?ticket=${given}`;
      assert.equal((await world.ask(as(good.minted, { target }))).status, 400);
      for (const wrong of [target.replace('/events', ''), `${target.replace(id, other)}&ticket=x`]) {
        assert.match(String((await world.ask({ target: wrong })).status), /^40[01]$/);
      }
      if (given.startsWith('fft_')) assert.equal((await world.ask(as(given, { target: '/v1/workflows' }))).status, 401);
    }
    await world.settle();
    canaries.checkSightings(/^a ticket/);
  });

  it('nor anything of a body that is refused', async () => {
    const { canaries, good } = world;
    const posts = SCENARIOS.filter(({ scenario }) => scenario(world).request.body !== undefined);
    const bodies: Readonly<Record<string, (secret: string) => Partial<RawRequest>>> = {
      'no JSON': (secret) => ({ body: `{"name": "${secret}", oops` }),
      'cut JSON': (secret) => ({ body: `["${secret}` }),
      'an unknown member': (secret) => ({ body: JSON.stringify({ [secret]: secret }) }),
      'a wrong type': (secret) => ({ body: JSON.stringify({ name: [secret], metric: [secret], credits: secret }) }),
      'a wrong word': (secret) => ({ body: JSON.stringify({ name: 'x', steps: [{ id: 'a', tool: secret }] }) }),
      'too much': (secret) => ({ body: JSON.stringify({ name: secret.repeat(400) }) }),
      'bytes that are no text': (secret) => ({ body: `{"name": "${secret}\u00ff` }),
    };
    const cells = Object.entries(bodies).flatMap(([what, make]) => {
      const secret = canaries.plant(`a body with ${what}`, { may: ['body'] });
      return posts.map((each) => ({ ...each, what, change: make(secret) }));
    });
    await forAll(cells, async ({ operation, scenario, what, change }) => {
      const answer = await world.ask(as(good.opaque, { ...scenario(world).request, ...change }));
      assert.ok(answer.status >= 400 && answer.status < 500, `${operation}, ${what}: ${answer.status}`);
    });
    await world.settle();
  });

  it('in a request that is none', async () => {
    const secret = () => world.canaries.plantKey('a key in a request that is none', NOWHERE);
    const good = `Host: x\r\nConnection: close\r\nAuthorization: Bearer ${world.good.minted}\r\n`;
    const start = 'GET /v1/workflows HTTP/1.1\r\n';
    const post = 'POST /v1/workflows HTTP/1.1\r\n';
    const type = 'Content-Type: application/json\r\n';
    const requests = [
      `${start}Host: x\r\nAuthorization Bearer ${secret()}\r\n\r\n`,
      `${start}Host: x\r\nConnection: close\r\nAuthorization: Bearer ${secret()}\u0001\r\n\r\n`,
      `${start}Host: x\r\nConnection: close\r\nAuthorization: Bearer ${secret()}\r\n folded ${secret()}\r\n\r\n`,
      `${start}Host: a b ${secret()}\r\nConnection: close\r\n\r\n`,
      `${start}Connection: close\r\nAuthorization: Bearer ${secret()}\r\n\r\n`,
      `${start}${good}Authorization: Bearer ${secret()}\r\n\r\n`,
      `${start}${good}X-Request-Id: not an id, ${secret()}\r\n\r\n`,
      `${start}${good}X-Large: ${secret().repeat(400)}\r\n\r\n`,
      `${start}${good}Upgrade: websocket\r\nSec-WebSocket-Protocol: ${secret()}\r\n\r\n`,
      `${start}${good}Expect: ${secret()}\r\n\r\n`,
      `GET /v1/workflows?label=a%3D${secret()}&x=%zz HTTP/1.1\r\n${good}\r\n`,
      `GET /v1/workflows#token=${secret()} HTTP/1.1\r\n${good}\r\n`,
      `GET /v1/%zz/${secret()} HTTP/1.1\r\n${good}\r\n`,
      `GET //${secret()}/v1/workflows HTTP/1.1\r\n${good}\r\n`,
      `GET http://user:${secret()}@[bad/v1/workflows HTTP/1.1\r\n${good}\r\n`,
      `GET /v1/workflows?token=${secret()} HTTP/1.0\r\nAuthorization: Bearer ${secret()}\r\n\r\n`,
      `GET /${secret()} HTTP/3.0\r\n${good}\r\n`,
      `${secret()} /v1/workflows HTTP/1.1\r\n${good}\r\n`,
      `CONNECT user:${secret()}@x:443 HTTP/1.1\r\n${good}\r\n`,
      `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${secret()}`,
      `${secret()}\r\n\r\n`,
      `${post}${good}${type}Content-Length: ${secret()}\r\n\r\n`,
      `${post}${good}${type}Transfer-Encoding: ${secret()}\r\n\r\n`,
      `${post}${good}${type}Transfer-Encoding: chunked\r\n\r\n${secret()}\r\nx`,
      `${post}${good}${type}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${secret()}`,
    ];
    const statuses = new Set<number>();
    await forAll(requests, async (request) => {
      const { status } = await world.send(request);
      assert.ok(status < 500, `${status}: ${request.slice(0, 80)}`);
      statuses.add(status);
    });
    assert.ok(
      [400, 417, 431].every((status) => statuses.has(status)),
      [...statuses].join(),
    );
    await world.settle();
  });
});
