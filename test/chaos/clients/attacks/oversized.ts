import { type Field, flood, openRaw, request } from '../field.ts';

const CONNECTIONS = 24;
const MEGABYTE = 1024 * 1024;
/** Just below BODY_LIMIT_BYTES. */
const WITHIN_BYTES = 1_000_000;

/** Heads and bodies over every limit, and such JSON within the limit as costs the most to read, with a good key. */
export function oversized(field: Field): void {
  const key = { Authorization: `Bearer ${field.furniture.attackerKey}` };
  const json = { ...key, 'Content-Type': 'application/json' };
  const submit = (body: string) =>
    request('POST', '/v1/workflows', { ...json, 'Content-Length': String(Buffer.byteLength(body)) }, body);
  const spec = (steps: string, labels = '{}') => `{"name":"wide","steps":${steps},"labels":${labels}}`;
  const step = '{"id":"a","tool":"boltz"}';
  const members = (count: number, member: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => member(index)).join(',');
  const whole = [
    request('GET', `/v1/workflows?page_token=${'a'.repeat(8 * MEGABYTE)}`, key),
    request('GET', '/v1/workflows', { ...key, 'X-Large': 'a'.repeat(8 * MEGABYTE) }),
    submit(spec(`[${step}]`, `{"a":"${'a'.repeat(10 * MEGABYTE)}"}`)),
    submit('['.repeat(WITHIN_BYTES)),
    submit('{"a":'.repeat(WITHIN_BYTES / 5)),
    submit(spec(`[{"id":"a","tool":"boltz","params":${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}}]`)),
    submit(`{${members(70_000, (index) => `"m${index}":1`)}}`),
    submit(spec(`[${step}]`, `{${members(50_000, (index) => `"l${index}":"x"`)}}`)),
    submit(spec(`[${members(35_000, (index) => `{"id":"s${index}"}`)}]`)),
    submit(
      spec(`[${members(256, (index) => `{"id":"s${index}","tool":"boltz","params":{"p":"${'a'.repeat(3_800)}"}}`)}]`),
    ),
    submit(`{${members(60_000, () => '"__proto__":{}')}}`),
    submit(`{${members(90_000, () => '"same":1')}}`),
    submit(`{"name":"${'\\ud800'.repeat(150_000)}","steps":[${step}]}`),
    submit(`{"name":"${'\\u0000'.repeat(150_000)}","steps":[${step}]}`),
    submit(`[${'1e400,'.repeat(150_000)}1]`),
    submit(`[${'9'.repeat(WITHIN_BYTES - 10)}]`),
  ];
  flood(field, CONNECTIONS, () => field.seeded.pick(whole), { reconnect: true });
  const endless = [
    [request('POST', '/v1/workflows', { ...json, 'Content-Length': '68719476736' }), Buffer.alloc(MEGABYTE, ' ')],
    [
      request('POST', '/v1/workflows', { ...json, 'Transfer-Encoding': 'chunked' }),
      Buffer.from(`100000\r\n${' '.repeat(MEGABYTE)}\r\n`),
    ],
  ] as const;
  for (let index = 0; index < CONNECTIONS / 4; index++) pourEndlessly(field, ...endless[index % endless.length]!);
}

/** A body that has no end, until the gateway hangs up; then the next one. */
function pourEndlessly(field: Field, head: Buffer, part: Buffer): void {
  openRaw(field, {
    onOpen(socket) {
      field.tally.sent++;
      socket.write(head);
      socket.pour(part);
    },
    onEnd: () => setImmediate(() => pourEndlessly(field, head, part)),
  });
}
