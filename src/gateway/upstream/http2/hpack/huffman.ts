import { HpackError } from './hpack-error.ts';
import { CODE_LENGTHS, EOS } from './huffman-lengths.ts';

// The code tree as a machine that eats four bits at a time. Its states are the inner nodes of the tree; as no code is
// shorter than five bits, a step completes one symbol at most. An entry: bits 0-7 the next state, 8-15 the symbol.
const HAS_SYMBOL = 1 << 16;
const HAS_EOS = 1 << 17;
const ROOT = 0;

interface Machine {
  /** By state × 16 + four bits. */
  readonly steps: Uint32Array;
  /** Whether a string may end in a state: what is left of its last octet are the first bits of EOS (section 5.2). */
  readonly mayEnd: Uint8Array;
}

/**
 * Writes what the Huffman code (RFC 7541, section 5.2) in `bytes` from `start` to `end` stands for to the beginning of `target`,
 * which must have room for `decodedLimit` octets. The number of octets written; throws HpackError.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, target: Uint8Array): number {
  machine ??= buildMachine();
  const { steps, mayEnd } = machine;
  let state = ROOT;
  let length = 0;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    const first = steps[state * 16 + (byte >> 4)]!;
    if (first & HAS_SYMBOL) target[length++] = first >> 8;
    const second = steps[(first & 0xff) * 16 + (byte & 0xf)]!;
    if (second & HAS_SYMBOL) target[length++] = second >> 8;
    if ((first | second) & HAS_EOS) throw new HpackError('a Huffman string contains the end-of-string symbol');
    state = second & 0xff;
  }
  if (!mayEnd[state]) throw new HpackError('a Huffman string ends in wrong padding');
  return length;
}

/** The most octets that a Huffman string of so many octets can stand for: the shortest code has five bits. */
export function decodedLimit(sizeBytes: number): number {
  return Math.floor((sizeBytes * 8) / 5);
}

let machine: Machine | undefined;

function buildMachine(): Machine {
  const tree = buildTree();
  const states = tree.length / 2;
  const steps = new Uint32Array(states * 16);
  for (let state = 0; state < states; state += 1) {
    for (let bits = 0; bits < 16; bits += 1) steps[state * 16 + bits] = walk(tree, state, bits);
  }
  const mayEnd = new Uint8Array(states);
  for (let state = ROOT, bits = 0; bits < 8; bits += 1) {
    mayEnd[state] = 1;
    state = tree[state * 2 + 1]!;
  }
  return { steps, mayEnd };
}

function walk(tree: readonly number[], start: number, bits: number): number {
  let node = start;
  let symbol = 0;
  for (let mask = 8; mask > 0; mask >>= 1) {
    node = tree[node * 2 + (bits & mask ? 1 : 0)]!;
    if (node >= 0) continue;
    if (node === leaf(EOS)) return HAS_EOS;
    symbol = HAS_SYMBOL | (symbolOf(node) << 8);
    node = ROOT;
  }
  return node | symbol;
}

/** The children of inner node n at 2n and 2n + 1: the number of another inner node, or a leaf. */
function buildTree(): number[] {
  const tree: number[] = [0, 0];
  for (const { symbol, code, length } of huffmanCodes()) {
    let node = ROOT;
    for (let bit = length - 1; bit > 0; bit -= 1) {
      const child = node * 2 + ((code >> bit) & 1);
      // No child is the root, so 0 is a child that is not there yet.
      if (tree[child] === 0) tree[child] = tree.push(0, 0) / 2 - 1;
      node = tree[child]!;
    }
    tree[node * 2 + (code & 1)] = leaf(symbol);
  }
  return tree;
}

function leaf(symbol: number): number {
  return ~symbol;
}

function symbolOf(node: number): number {
  return ~node;
}

/** The code of every symbol: `length` bits, the first the highest. */
export function huffmanCodes(): { symbol: number; code: number; length: number }[] {
  const codes = CODE_LENGTHS.map((length, symbol) => ({ symbol, code: 0, length }));
  codes.sort((one, other) => one.length - other.length || one.symbol - other.symbol);
  for (const [index, entry] of codes.entries()) {
    const before = codes[index - 1];
    if (before) entry.code = (before.code + 1) << (entry.length - before.length);
  }
  return codes;
}
