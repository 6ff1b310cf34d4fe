/** A number as JSON text that `JSON.stringify` writes as it is (ECMAScript `JSON.rawJSON`). */
type RawJson = { readonly rawJSON: string };

declare global {
  interface JSON {
    rawJSON(text: string): RawJson;
  }
}

/** A 64-bit integer as a JSON integer with every digit exact, also above 2^53. */
export function exactInteger(value: bigint): number | RawJson {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : JSON.rawJSON(value.toString());
}
