/** Plain columns, each as wide as its widest cell; what is empty everywhere is left out. Lines without spaces at their end. */
export function formatTable(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const used = titles.map((_, column) => column).filter((column) => rows.some((row) => row[column] !== ''));
  const lines = [titles, ...rows];
  // Not as arguments of one call: there may be more lines than a call takes.
  const widths = used.map((column) =>
    lines.reduce((widest, line) => Math.max(widest, visibleLength(line[column] ?? '')), 0),
  );
  return lines.map((line) =>
    used
      .map((column, index) => {
        const cell = line[column] ?? '';
        return cell + ' '.repeat(widths[index]! - visibleLength(cell));
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Characters, not counting colours. */
function visibleLength(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
  return [...text.replace(/\x1b\[\d+m/g, '')].length;
}
