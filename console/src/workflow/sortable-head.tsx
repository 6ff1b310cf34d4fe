import { type Direction, nextSorting, type Sorting } from './sort-rows.ts';

interface SortableHeadProps<Column extends string> {
  readonly column: Column;
  readonly title: string;
  readonly sorting: Sorting<Column>;
  readonly onSort: (sorting: Sorting<Column>) => void;
  /** The direction that the first click asks for. */
  readonly first?: Direction;
  readonly isNumber?: boolean;
}

/** The head of a column that its table can be sorted by. */
export function SortableHead<Column extends string>(props: SortableHeadProps<Column>) {
  const { column, title, sorting, onSort, first = 'ascending', isNumber = false } = props;
  const direction = sorting.column === column ? sorting.direction : undefined;
  return (
    <th scope="col" class={isNumber ? 'number' : undefined} aria-sort={direction ?? 'none'}>
      <button type="button" class="sort" onClick={() => onSort(nextSorting(sorting, column, first))}>
        {title}
        <span class="sort-arrow" aria-hidden="true">
          {direction === undefined ? '' : direction === 'ascending' ? '▲' : '▼'}
        </span>
      </button>
    </th>
  );
}
