import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { bodyOf, type FoldForge, type Schemas } from './client.ts';

/** Downloads an artifact. The file is there only when it is whole: throws unless its SHA-256 is the recorded one. */
export async function downloadArtifact(
  foldforge: FoldForge,
  workflowId: string,
  artifact: Schemas['Artifact'],
  file: string,
): Promise<void> {
  const key = artifact.uri.replace(/^r2:\/\/[^/]+\//, '');
  const answer = await foldforge.GET('/v1/workflows/{id}/artifacts/{key}', {
    params: { path: { id: workflowId, key } },
    parseAs: 'stream',
  });
  const hash = createHash('sha256');
  const tap = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const part = `${file}.part`;
  try {
    await pipeline(Readable.fromWeb(bodyOf(answer)!), tap, createWriteStream(part));
    const digest = hash.digest('hex');
    if (digest !== artifact.sha256) throw new Error(`${file} has the SHA-256 ${digest}, not ${artifact.sha256}`);
    await rename(part, file);
  } finally {
    await rm(part, { force: true });
  }
}
