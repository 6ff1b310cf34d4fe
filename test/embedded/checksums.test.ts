import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChecksumAlgorithm, createChecksum } from '../../src/embedded/object-store/checksums.ts';

/** The check values of the catalogue of parametrised CRC algorithms, and of the standards of the hashes. */
const OF_123456789: Record<ChecksumAlgorithm, string> = {
  crc32: 'cbf43926',
  crc32c: 'e3069283',
  crc64nvme: 'ae8b14860a799888',
  sha1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
  sha256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
};

for (const [algorithm, expected] of Object.entries(OF_123456789)) {
  test(`${algorithm} has its check value, in one piece or in several`, () => {
    for (const pieces of [['123456789'], ['1', '2345', '', '6789']]) {
      const checksum = createChecksum(algorithm as ChecksumAlgorithm);
      for (const piece of pieces) checksum.update(Buffer.from(piece));
      assert.equal(checksum.digest().toString('hex'), expected);
    }
  });
}
