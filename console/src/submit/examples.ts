export interface Example {
  readonly name: string;
  readonly text: string;
}

const files = import.meta.glob<string>('../../../examples/workflows/*.json', {
  query: '?raw',
  import: 'default',
  eager: true,
});

/** The examples of the project, as they are on its disk. */
export const EXAMPLES: readonly Example[] = Object.values(files).map((text) => ({ name: JSON.parse(text).name, text }));
