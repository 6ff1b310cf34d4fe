/** A field block that cannot be read. The tables of both ends differ from here on: COMPRESSION_ERROR of the connection. */
export class HpackError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'HpackError';
  }
}
