import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { it, type TestContext } from 'node:test';
import { createConnection, stopParsing } from '../../../src/gateway/listener/connection.ts';
import { until } from '../../support/waiting.ts';

/** A server, and what opens connections to it that hold what was answered. */
async function serve(t: TestContext, listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return function send(bytes: string) {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    t.after(() => client.destroy());
    let answer = '';
    client.on('data', (chunk) => {
      answer += chunk;
    });
    client.write(bytes);
    return { client, answer: () => answer };
  };
}

it('nothing more is parsed of what has been read already', async (t) => {
  let requests = 0;
  const send = await serve(t, (incoming, outgoing) => {
    requests++;
    stopParsing(createConnection(incoming.socket, { bytesWritten: 0, writeQueueSize: 0 }, undefined));
    outgoing.end('one');
  });
  const { answer } = send('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1_000));
  await until('the first is answered', () => answer().endsWith('one'));
  assert.equal(requests, 1);
});

it('nothing more of its body is handed on, and the next connection has its own', async (t) => {
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  const pieces: number[] = [];
  const send = await serve(t, (incoming, outgoing) => {
    const turn = pieces.push(0) - 1;
    incoming.on('data', () => {
      pieces[turn]!++;
      if (turn > 0 || pieces[turn] !== 3) return;
      stopParsing(createConnection(incoming.socket, { bytesWritten: 0, writeQueueSize: 0 }, undefined));
      outgoing.end('enough');
    });
    incoming.on('end', () => outgoing.end('all'));
  });
  const first = send(`${head}${'1\r\nx\r\n'.repeat(1_000)}`);
  await until('the first is answered', () => first.answer().endsWith('enough'));
  const closed = new Promise((resolve) => first.client.on('close', resolve));
  first.client.destroy();
  await closed;
  // Node hands a parser on to the next connection.
  const second = send(`${head}${'1\r\nx\r\n'.repeat(5)}0\r\n\r\n`);
  await until('the second is answered', () => second.answer().includes('all'));
  assert.deepEqual(pieces, [3, 5]);
});
