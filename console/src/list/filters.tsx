import type { TargetedSubmitEvent } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { CrossIcon } from '../icons.tsx';
import { STATE_WORDS } from '../workflow/state-words.ts';
import { type ListFilter, labelFault, STATES } from './list-query.ts';

interface FiltersProps {
  readonly filter: ListFilter;
  readonly onChange: (filter: ListFilter) => void;
}

export function Filters({ filter, onChange }: FiltersProps) {
  const { state, labels } = filter;
  const field = useRef<HTMLInputElement>(null);
  const [fault, setFault] = useState<string | undefined>();

  function addLabel(event: TargetedSubmitEvent<HTMLFormElement>): void {
    event.preventDefault();
    const label = field.current!.value.trim();
    const wrong = labelFault(label);
    setFault(wrong);
    field.current!.focus();
    if (wrong !== undefined) return;
    field.current!.value = '';
    if (!labels.includes(label)) onChange({ state, labels: [...labels, label] });
  }

  return (
    <form class="filters" aria-label="Filters" onSubmit={addLabel} noValidate>
      <div class="field">
        <label for="filter-state">State</label>
        <select
          id="filter-state"
          value={state ?? ''}
          onChange={(event) => onChange({ state: event.currentTarget.value || undefined, labels })}
        >
          <option value="">Any</option>
          {STATES.map((name) => (
            <option key={name} value={name}>
              {STATE_WORDS[name]}
            </option>
          ))}
        </select>
      </div>
      <div class="field filter-label">
        <label for="filter-label">Label</label>
        <div class="joined">
          <input
            ref={field}
            id="filter-label"
            class="input"
            type="text"
            placeholder="key=value"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            aria-invalid={fault !== undefined}
            aria-describedby={fault === undefined ? undefined : 'filter-label-fault'}
          />
          <button type="submit" class="button">
            Add
          </button>
        </div>
        {fault !== undefined && (
          <p class="fault" id="filter-label-fault" role="alert">
            {fault}
          </p>
        )}
      </div>
      {labels.length > 0 && (
        <ul class="chips" aria-label="Labels that must match">
          {labels.map((label) => (
            <li key={label} class="chip">
              {label}
              <button
                type="button"
                class="chip-remove"
                aria-label={`Remove the label ${label}`}
                onClick={() => {
                  field.current!.focus();
                  onChange({ state, labels: labels.filter((other) => other !== label) });
                }}
              >
                <CrossIcon />
              </button>
            </li>
          ))}
        </ul>
      )}
    </form>
  );
}
