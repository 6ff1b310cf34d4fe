import { isOver, type ShownList } from './list-memory.ts';

interface ListStatusProps {
  readonly list: ShownList | undefined;
  readonly isFailing: boolean;
  readonly onShowHeld: () => void;
}

/** One line of a fixed height, so that nothing below it moves whatever it says. */
export function ListStatus({ list, isFailing, onShowHeld }: ListStatusProps) {
  const count = list?.held.length ?? 0;
  return (
    <div class="list-status">
      <p class="small quiet" role="status">
        {textOf(list, isFailing)}
      </p>
      {count > 0 && (
        <button type="button" class="button button-small" onClick={onShowHeld}>
          Show {count} new
        </button>
      )}
    </div>
  );
}

function textOf(list: ShownList | undefined, isFailing: boolean): string {
  if (isFailing) return 'It cannot be read at the moment. This is the list as it was; trying again.';
  if (!list) return 'Loading…';
  const { rows, hasMore } = list;
  if (rows.length === 0) return '';
  const count = `${hasMore ? 'The newest ' : ''}${rows.length === 1 ? '1 workflow' : `${rows.length} workflows`}`;
  return rows.every(isOver) ? count : `${count}, kept up to date`;
}
