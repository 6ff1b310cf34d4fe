/** A JSON answer. BigInts must have become exact integers in `wire`; `undefined` members are left out. */
export function answerJson(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return answerText(JSON.stringify(value), { 'Content-Type': 'application/json', ...headers }, status);
}

/** With its length said, so that HEAD can say it too. */
export function answerText(body: string, headers: Readonly<Record<string, string>>, status = 200): Response {
  return new Response(body, { status, headers: { ...headers, 'Content-Length': String(Buffer.byteLength(body)) } });
}

/** Workflow reads may be kept by the client alone, and only if it asks each time. */
export const WORKFLOW_CACHE = { 'Cache-Control': 'private, no-cache' };
