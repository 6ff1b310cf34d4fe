import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { ApiFault } from '../../../console/src/api-fault.ts';
import { filesOf, shortName, toFile } from '../../../console/src/workflow/artifact-files.ts';
import { downloadArtifact } from '../../../console/src/workflow/download-artifact.ts';
import { exampleArtifact, exampleStatus, exampleWorkflow } from './example-workflow.ts';

const TEXT = 'ATOM'.repeat(1_000);
const SHA256 = createHash('sha256').update(TEXT).digest('hex');
const file = (artifact = {}) =>
  toFile('fold', exampleArtifact({ size_bytes: TEXT.length, sha256: SHA256, ...artifact }));

function serve(text: string, { breaksAfter }: { breaksAfter?: number } = {}) {
  const asked: string[] = [];
  const openArtifact = async (id: string, key: string) => {
    asked.push(`${id} ${key}`);
    const bytes = new TextEncoder().encode(text);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (breaksAfter !== undefined && sent >= breaksAfter) return controller.error(new TypeError('network error'));
        if (sent >= bytes.length) return controller.close();
        controller.enqueue(bytes.slice(sent, sent + 700));
        sent += 700;
      },
    });
    return new Response(body);
  };
  return { openArtifact, asked };
}

describe('downloadArtifact', () => {
  it('gives the bytes, checked, and tells how many have come', async () => {
    const api = serve(TEXT);
    const seen: number[] = [];
    const { blob, unchecked } = await downloadArtifact(api, 'w', file(), { onProgress: (bytes) => seen.push(bytes) });
    assert.equal(await blob.text(), TEXT);
    assert.equal(blob.type, 'chemical/x-pdb');
    assert.equal(unchecked, undefined);
    assert.deepEqual(seen, [700, 1_400, 2_100, 2_800, 3_500, 4_000]);
    assert.deepEqual(api.asked, ['w artifacts/a.pdb']);
  });

  it('refuses other bytes, and bytes that are missing', async () => {
    await assert.rejects(
      downloadArtifact(serve(TEXT.replace('A', 'B')), 'w', file()),
      /damaged: its SHA-256 is [0-9a-f]{12}…, but/,
    );
    await assert.rejects(downloadArtifact(serve(TEXT.slice(1)), 'w', file()), /has 3999 bytes, but 4000 were recorded/);
  });

  it('says that the connection was lost in the middle', async () => {
    await assert.rejects(downloadArtifact(serve(TEXT, { breaksAfter: 1_400 }), 'w', file()), /lost in the middle/);
  });

  it('says so when it cannot check', async () => {
    const unsafe = await downloadArtifact(serve(TEXT), 'w', file(), { subtle: null });
    assert.match(unsafe.unchecked!, /https/);
    const unrecorded = await downloadArtifact(serve(TEXT), 'w', file({ sha256: '' }));
    assert.match(unrecorded.unchecked!, /no checksum was recorded/);
  });

  it('passes on what the gateway says', async () => {
    const fault = new ApiFault({ status: 503, code: 'NOT_CONFIGURED', message: 'no store', retryable: false });
    await assert.rejects(downloadArtifact({ openArtifact: () => Promise.reject(fault) }, 'w', file()), fault);
  });
});

describe('filesOf', () => {
  it('lists every output in the order of the steps', () => {
    const workflow = exampleWorkflow(['one', 'two', 'three'], {
      step_statuses: [
        exampleStatus('two', {
          outputs: [exampleArtifact({ uri: 'r2://b/x/deep/two.cif', content_type: 'chemical/x-mmcif' })],
        }),
        exampleStatus('one', {
          outputs: [
            exampleArtifact({ uri: 'r2://b/1.pdb' }),
            exampleArtifact({ uri: 'r2://b/2.json', content_type: 'application/json' }),
          ],
        }),
      ],
    });
    assert.deepEqual(
      filesOf(workflow).map(({ stepId, key, name, format }) => [stepId, key, name, format]),
      [
        ['one', '1.pdb', '1.pdb', 'pdb'],
        ['one', '2.json', '2.json', undefined],
        ['two', 'x/deep/two.cif', 'two.cif', 'mmcif'],
      ],
    );
  });

  it('knows a structure by its name where the type says nothing', () => {
    const format = (name: string) =>
      toFile('s', exampleArtifact({ uri: `r2://b/${name}`, content_type: 'application/octet-stream' })).format;
    assert.deepEqual(['a.PDB', 'a.ent', 'a.cif', 'a.constructor', 'a'].map(format), [
      'pdb',
      'pdb',
      'mmcif',
      undefined,
      undefined,
    ]);
  });

  it('shortens a name that is a digest', () => {
    assert.equal(shortName(`${SHA256}.pdb`), `${SHA256.slice(0, 12)}….pdb`);
    assert.equal(shortName('model_1.pdb'), 'model_1.pdb');
  });
});
