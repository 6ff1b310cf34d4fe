import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Artifact, ArtifactSchema } from '../../../gen/foldforge/common/v1/common_pb.ts';
import type { ArtifactRecord } from '../runner.ts';
import { cleanText } from './clean-text.ts';
import { finiteMetrics } from './metrics.ts';
import { type Kind, numberMap, pattern, uint64 } from './param-kinds.ts';
import { object, optional, required } from './param-table.ts';
import { protocolFailure } from './protocol-failure.ts';

const URI = /^r2:\/\/[^/\s]+\/[^\s\0]+$/;
const SHA256 = /^[0-9a-f]{64}$/i;
const MAX_SHOWN_CHARACTERS = 200;

export type ArtifactInit = MessageInitShape<typeof ArtifactSchema>;

/** A file that a step's author names. What the API says of an artifact can be pasted as it is. */
const members = {
  uri: required(pattern('an r2://<bucket>/<key> address', URI), 'where it is'),
  sha256: optional(pattern('64 hexadecimal digits', SHA256), 'what it is'),
  content_type: optional(pattern('a media type', /^[\w.+-]+\/[\w.+-]+(?:\s*;[\x20-\x7e]*)?$/), 'its media type'),
  size_bytes: optional(uint64, 'how long it is'),
  metrics: optional(numberMap, 'what was measured on it'),
};

export const artifact: Kind<ArtifactInit> = {
  says: 'an object with uri (an r2:// address), sha256 and content_type',
  read(value, name) {
    const { uri, sha256, content_type, size_bytes, metrics } = object(members, 'an artifact').read(value, name);
    return {
      uri,
      ...(sha256 !== undefined && { sha256: sha256.toLowerCase() }),
      ...(content_type !== undefined && { contentType: content_type }),
      ...(size_bytes !== undefined && { sizeBytes: size_bytes }),
      ...(metrics !== undefined && { metrics }),
    };
  },
};

/** A file that an earlier step made, as a sidecar is told of it. */
export function artifactOfRecord({ sizeBytes, metrics, ...record }: ArtifactRecord): ArtifactInit {
  return { ...record, sizeBytes: BigInt(sizeBytes), metrics: { ...metrics } };
}

/**
 * A file that a sidecar made. `what` names it in the StepFailure that is thrown when there is none; `metrics` add to
 * those that it has.
 */
export function readArtifact(
  made: Artifact | undefined,
  what: string,
  defaultContentType: string,
  metrics: Readonly<Record<string, number>>,
): ArtifactRecord {
  if (!made?.uri) throw protocolFailure(`the sidecar does not say where ${what} is`, { retryable: false });
  if (!URI.test(made.uri)) {
    const shown = JSON.stringify(cleanText(made.uri, MAX_SHOWN_CHARACTERS));
    throw protocolFailure(`the sidecar says that ${what} is at ${shown}, which is no r2://<bucket>/<key> address`, {
      retryable: false,
    });
  }
  if (made.sha256 !== '' && !SHA256.test(made.sha256)) {
    throw protocolFailure(`the sidecar gives a sha256 of ${what} that is not 64 hexadecimal digits`, {
      retryable: false,
    });
  }
  return {
    uri: cleanText(made.uri),
    contentType: cleanText(made.contentType) || defaultContentType,
    sizeBytes: Number(made.sizeBytes),
    sha256: made.sha256.toLowerCase(),
    metrics: finiteMetrics({ ...made.metrics, ...metrics }),
  };
}
