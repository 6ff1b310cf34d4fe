import { GatewayError } from '../errors.ts';
import type { State } from './workflow-json.ts';

/** The query of listWorkflows, after the contract has been checked. */
export interface ListQuery {
  readonly page_size: number;
  readonly page_token?: string;
  readonly state?: Exclude<State, 'UNKNOWN'>;
  readonly label?: readonly string[];
}

/**
 * `key=value` pairs as a map; the first `=` divides. Throws INVALID_ARGUMENT when one key is to have two values: all
 * pairs must match, so nothing could.
 */
export function labelSelector(labels: readonly string[] = []): Record<string, string> {
  const selector = new Map<string, string>();
  for (const label of labels) {
    const divider = label.indexOf('=');
    const [key, value] = [label.slice(0, divider), label.slice(divider + 1)];
    if (selector.has(key) && selector.get(key) !== value) {
      const message = `asks for two values of "${key}"; all labels must match`;
      throw new GatewayError('INVALID_ARGUMENT', `label ${message}`, {
        faults: [{ pointer: '#/query/label', message }],
      });
    }
    selector.set(key, value);
  }
  return Object.fromEntries(selector);
}

/** The Link header to the next page (RFC 8288), with the same filters; nothing on the last page. */
export function nextPageLink(query: ListQuery, nextPageToken: string): Record<string, string> {
  if (!nextPageToken) return {};
  const next = new URLSearchParams({ page_size: String(query.page_size) });
  if (query.state) next.set('state', query.state);
  for (const label of query.label ?? []) next.append('label', label);
  next.set('page_token', nextPageToken);
  return { Link: `</v1/workflows?${next}>; rel="next"` };
}
