import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createHpackDecoder, type HpackDecoder } from '../../../src/gateway/upstream/http2/hpack/decoder.ts';
import { HpackError } from '../../../src/gateway/upstream/http2/hpack/hpack-error.ts';
import type { Field } from './hpack-writer.ts';

// The examples of RFC 7541, appendix C.

describe('hpack: the examples of RFC 7541', () => {
  it('C.1: integers', () => {
    // The representation with a prefix of five bits is the table size update: 10 and 1337.
    for (const [hex, value] of [
      ['2a', 10],
      ['3f9a0a', 1337],
    ] as const) {
      assert.deepEqual(fieldsOf(createHpackDecoder({ tableSizeBytes: value }), hex), []);
      const smaller = createHpackDecoder({ tableSizeBytes: value - 1 });
      assert.throws(() => fieldsOf(smaller, hex), HpackError);
    }
  });

  it('C.2: one field in each representation', () => {
    const examples: [hex: string, field: Field, joinsTable: boolean][] = [
      ['400a637573746f6d2d6b65790d637573746f6d2d686561646572', ['custom-key', 'custom-header'], true],
      ['040c2f73616d706c652f70617468', [':path', '/sample/path'], false],
      ['100870617373776f726406736563726574', ['password', 'secret'], false],
      ['82', [':method', 'GET'], false],
    ];
    for (const [hex, field, joinsTable] of examples) {
      const decoder = createHpackDecoder({ tableSizeBytes: 4096 });
      assert.deepEqual(fieldsOf(decoder, hex), [field]);
      assert.deepEqual(tableOf(decoder), joinsTable ? [field] : []);
    }
  });

  const get: Field = [':method', 'GET'];
  const authority: Field = [':authority', 'www.example.com'];
  const noCache: Field = ['cache-control', 'no-cache'];
  const custom: Field = ['custom-key', 'custom-value'];
  const requests: [fields: Field[], table: Field[]][] = [
    [[get, [':scheme', 'http'], [':path', '/'], authority], [authority]],
    [
      [get, [':scheme', 'http'], [':path', '/'], authority, noCache],
      [noCache, authority],
    ],
    [
      [get, [':scheme', 'https'], [':path', '/index.html'], authority, custom],
      [custom, noCache, authority],
    ],
  ];

  it('C.3: requests without Huffman', () => {
    checkSequence(4096, requests, [
      '828684410f7777772e6578616d706c652e636f6d',
      '828684be58086e6f2d6361636865',
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    ]);
  });

  it('C.4: requests with Huffman', () => {
    checkSequence(4096, requests, [
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ]);
  });

  const found: Field = [':status', '302'];
  const temporary: Field = [':status', '307'];
  const cache: Field = ['cache-control', 'private'];
  const date: Field = ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'];
  const later: Field = ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'];
  const location: Field = ['location', 'https://www.example.com'];
  const gzip: Field = ['content-encoding', 'gzip'];
  const cookie: Field = ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'];
  const responses: [fields: Field[], table: Field[]][] = [
    [
      [found, cache, date, location],
      [location, date, cache, found],
    ],
    [
      [temporary, cache, date, location],
      [temporary, location, date, cache],
    ],
    [
      [[':status', '200'], cache, later, location, gzip, cookie],
      [cookie, gzip, later],
    ],
  ];
  // Their table has 256 octets. A peer of ours would have to say so first.
  const to256 = '3fe101';

  it('C.5: responses without Huffman, with eviction', () => {
    checkSequence(256, responses, [
      `${to256}4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54` +
        '6e1768747470733a2f2f7777772e6578616d706c652e636f6d',
      '4803333037c1c0bf',
      '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d' +
        '4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
    ]);
  });

  it('C.6: responses with Huffman, with eviction', () => {
    checkSequence(256, responses, [
      `${to256}488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff` +
        '6e919d29ad171863c78f0b97c8e9ae82ae43d3',
      '4883640effc1c0bf',
      '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdf' +
        'cd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
    ]);
  });
});

function checkSequence(tableSizeBytes: number, expected: [fields: Field[], table: Field[]][], blocks: string[]): void {
  const decoder = createHpackDecoder({ tableSizeBytes });
  for (const [index, block] of blocks.entries()) {
    const [fields, table] = expected[index]!;
    assert.deepEqual(fieldsOf(decoder, block), fields);
    assert.deepEqual(tableOf(decoder), table);
  }
}

function fieldsOf(decoder: HpackDecoder, hex: string): Field[] {
  const fields: Field[] = [];
  const block = Buffer.from(`00${hex}00`, 'hex');
  decoder.decode(block, 1, block.length - 1, (name, value) => fields.push([name, value]));
  return fields;
}

/** The dynamic table, read as a peer could: by asking for each index until there is no entry. */
function tableOf(decoder: HpackDecoder): Field[] {
  const table: Field[] = [];
  for (let index = 62; ; index += 1) {
    try {
      table.push(...fieldsOf(decoder, (0x80 | index).toString(16)));
    } catch (error) {
      assert.ok(error instanceof HpackError && /no table entry/.test(error.message), String(error));
      return table;
    }
  }
}
