import { ConnectionError, toConnectionError } from './api-error.ts';

/** A stream of events says something every 15 s. */
const SILENCE_MS = 45_000;

/**
 * The bytes of an answer as they come. Throws a ConnectionError when they break off or stay away for too long, and the
 * signal's reason when it is aborted.
 */
export async function* readChunks({ body }: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (!body) return;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read());
      if (done) return;
      yield value;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw toConnectionError(error);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

export async function readText(response: Response, signal: AbortSignal): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readChunks(response, signal)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

async function inTime<T>(read: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new ConnectionError(`nothing came for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  });
  return Promise.race([read, silence]).finally(() => clearTimeout(timer));
}
