export type Direction = 'ascending' | 'descending';

export interface Sorting<Column extends string> {
  readonly column: Column;
  readonly direction: Direction;
}

type Value = string | number | undefined;

/**
 * The rows in the order of one column. Rows without a value come last in both directions, and equal rows stay as they
 * were. Texts are compared as people do: `step2` before `step10`.
 */
export function sortRows<Row>(rows: readonly Row[], readValue: (row: Row) => Value, direction: Direction): Row[] {
  const sign = direction === 'ascending' ? 1 : -1;
  return rows
    .map((row) => ({ row, value: readValue(row) }))
    .sort(({ value: a }, { value: b }) => {
      if (isMissing(a) || isMissing(b)) return Number(isMissing(a)) - Number(isMissing(b));
      return sign * compare(a, b);
    })
    .map(({ row }) => row);
}

/** What a click on a column's head asks for: the other direction, or the column's first one. */
export function nextSorting<Column extends string>(
  { column, direction }: Sorting<Column>,
  clicked: Column,
  first: Direction = 'ascending',
): Sorting<Column> {
  if (column !== clicked) return { column: clicked, direction: first };
  return { column, direction: direction === 'ascending' ? 'descending' : 'ascending' };
}

function isMissing(value: Value): value is undefined {
  return value === undefined || Number.isNaN(value);
}

const COLLATOR = new Intl.Collator('en', { numeric: true });

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a < b ? -1 : Number(a > b);
  return COLLATOR.compare(String(a), String(b));
}
