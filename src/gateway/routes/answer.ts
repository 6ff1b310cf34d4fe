/** A JSON answer. BigInts must have become exact integers in `wire`; `undefined` members are left out. */
export function answerJson(value: unknown, status = 200, headers?: Readonly<Record<string, string>>): Response {
  const body = JSON.stringify(value);
  return new Response(body, {
    status,
    headers: { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(body)), ...headers },
  });
}

/** Workflow reads may be kept by the client alone, and only if it asks each time. */
export const WORKFLOW_CACHE = { 'Cache-Control': 'private, no-cache' };
