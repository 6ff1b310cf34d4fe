/** A series that an expression asks for, and the labels by which it chooses. */
export interface Selector {
  readonly name: string;
  readonly labels: readonly string[];
}

/** Words of PromQL that stand where a name could. */
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'by', 'without', 'on', 'ignoring', 'inf', 'nan']);
const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;

/** What an expression of PromQL asks for; whether it is one at all, only Prometheus knows. */
export function readExpression(expression: string): {
  readonly selectors: readonly Selector[];
  /** The labels by which it groups or joins. */
  readonly grouping: readonly string[];
} {
  // In texts there may be anything, braces too. A duration would look like a name.
  const bare = expression.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').replaceAll(/\[[^\]]*\]/g, '');
  const grouping = [...bare.matchAll(GROUPING)].flatMap(([, labels]) => namesIn(labels!));
  const selectors = [...bare.replaceAll(GROUPING, ' ').matchAll(/([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\}|(\())?/g)]
    .filter(([, name, , call]) => call === undefined && !WORDS.has(name!.toLowerCase()))
    .map(([, name, matchers = '']) => ({ name: name!, labels: namesIn(matchers) }));
  return { selectors, grouping };
}

function namesIn(text: string): string[] {
  return text
    .split(',')
    .map((part) => /^\s*(\w+)/.exec(part)?.[1] ?? '')
    .filter((name) => name !== '');
}
