import type { Step, Workflow } from '../api.ts';

/** The spec of a workflow as JSON to edit: what was left out when it was submitted stays out. */
export function specText({ name, labels, steps }: Pick<Workflow, 'name' | 'labels' | 'steps'>): string {
  const spec = { name, ...(hasAny(labels) && { labels }), steps: steps.map(stepSpec) };
  return `${JSON.stringify(spec, null, 2)}\n`;
}

function stepSpec({ id, tool, depends_on, params, resources }: Step) {
  return {
    id,
    tool,
    ...(depends_on.length > 0 && { depends_on }),
    ...(hasAny(params) && { params }),
    ...(resources && hasAny(resources) && { resources }),
  };
}

const hasAny = (value: object): boolean => Object.keys(value).length > 0;
