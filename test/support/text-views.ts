/** Encoded text inside encoded text is followed this far. */
const MAX_DEPTH = 2;
const HEX_RUN = /(?:[0-9a-fA-F]{2}){8,}/g;
const BASE64_RUN = /[A-Za-z0-9+/_-]{12,}/g;
/** Bytes as JSON.stringify writes them. */
const BYTES = /(?:\b\d{1,3},\s*){7,}\d{1,3}\b/g;
/** What a secret is made of; of bytes that were no text, hardly any decodes to so much of it. */
const TEXT = /[\x21-\x7e]{8}/;

/**
 * A text, in lower case, in all the forms in which a secret could hide in it: as it is; split up by quotes, spaces or line
 * breaks; escaped for JSON or for a URL; as bytes; in hex; in base64, wherever in it the secret begins; and one of these in another.
 */
export function listViews(text: string): string[] {
  const views: string[] = [];
  collect(text, 0, views);
  return views;
}

function collect(text: string, depth: number, views: string[]): void {
  const squeezed = text.replaceAll(/[^0-9A-Za-z]+/g, '');
  views.push(text.toLowerCase());
  if (squeezed.length < text.length) views.push(squeezed.toLowerCase());
  if (depth === MAX_DEPTH) return;
  const hidden = [
    unescaped(text),
    byteLists(text),
    hexRuns(text),
    hexRuns(squeezed),
    base64Runs(text),
    base64Runs(squeezed),
  ];
  for (const inner of hidden.flatMap((found) => [...found])) collect(inner, depth + 1, views);
}

function* unescaped(text: string): Generator<string> {
  const character = (_match: string, hex: string) => String.fromCharCode(Number.parseInt(hex, 16));
  if (/%[0-9a-f]{2}/i.test(text)) yield text.replaceAll(/%([0-9a-f]{2})/gi, character);
  if (/\\u[0-9a-f]{4}/i.test(text)) yield text.replaceAll(/\\u([0-9a-f]{4})/gi, character);
}

function* byteLists(text: string): Generator<string> {
  for (const [run] of text.matchAll(BYTES)) yield* texts(Buffer.from(run.split(',').map(Number)));
}

function* hexRuns(text: string): Generator<string> {
  for (const [run] of text.matchAll(HEX_RUN)) yield* texts(Buffer.from(run, 'hex'));
}

function* base64Runs(text: string): Generator<string> {
  for (const [run] of text.matchAll(BASE64_RUN)) {
    for (const offset of [0, 1, 2, 3]) yield* texts(Buffer.from(run.slice(offset), 'base64'));
  }
}

function* texts(bytes: Buffer): Generator<string> {
  const decoded = bytes.toString('latin1');
  if (TEXT.test(decoded)) yield decoded;
}
