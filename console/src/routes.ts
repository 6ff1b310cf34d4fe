export const BASE = '/console/';

export type Route =
  | { readonly page: 'list' }
  | { readonly page: 'submit' }
  | { readonly page: 'workflow'; readonly workflowId: string }
  | { readonly page: 'not-found' };

/** Which page a path under /console/ is. */
export function matchRoute(pathname: string): Route {
  const path = pathname.replace(/\/+$/, '');
  if (path === '/console') return { page: 'list' };
  if (path === '/console/submit') return { page: 'submit' };
  const encodedId = /^\/console\/workflows\/([^/]+)$/.exec(path)?.[1];
  const workflowId = encodedId === undefined ? undefined : decode(encodedId);
  return workflowId === undefined ? { page: 'not-found' } : { page: 'workflow', workflowId };
}

export const workflowPath = (id: string) => `${BASE}workflows/${encodeURIComponent(id)}`;

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
