import type { Checksum } from './checksums.ts';

// Both polynomials are written bit-reversed, as the tables need them.
const CASTAGNOLI = 0x82f63b78;
const NVME = 0x9a6c_9329_ac4b_c9b5n;

/** CRC-32C of RFC 3720, appendix B.4. */
export function createCrc32c(): Checksum {
  let crc = 0xffff_ffff;
  return {
    update(bytes) {
      for (const byte of bytes) crc = CRC32C_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
    },
    digest: () => words(~crc),
  };
}

/** CRC-64/NVME of the NVM Express Command Set Specification. In two halves, as 64-bit numbers would be slow. */
export function createCrc64Nvme(): Checksum {
  let high = 0xffff_ffff;
  let low = 0xffff_ffff;
  return {
    update(bytes) {
      for (const byte of bytes) {
        const index = (low ^ byte) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ CRC64_LOW[index]!;
        high = (high >>> 8) ^ CRC64_HIGH[index]!;
      }
    },
    digest: () => words(~high, ~low),
  };
}

const CRC32C_TABLE = Uint32Array.from(table(BigInt(CASTAGNOLI)), Number);
const CRC64_LOW = Uint32Array.from(table(NVME), (entry) => Number(entry & 0xffff_ffffn));
const CRC64_HIGH = Uint32Array.from(table(NVME), (entry) => Number(entry >> 32n));

function table(polynomial: bigint): bigint[] {
  return Array.from({ length: 256 }, (_, index) => {
    let crc = BigInt(index);
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
    return crc;
  });
}

function words(...values: number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) buffer.writeUInt32BE(value >>> 0, 4 * index);
  return buffer;
}
