import { useId } from 'preact/hooks';
import { isLowerBetter } from './metrics-of.ts';
import { RankField } from './rank-field.tsx';
import type { FieldFaults, FilterFields, RankFields } from './rank-query.ts';

interface RankingFormProps {
  readonly metrics: readonly string[];
  readonly fields: RankFields;
  readonly faults: FieldFaults;
  readonly pending: boolean;
  readonly onChange: (fields: RankFields) => void;
  readonly onRank: () => void;
}

/** What to rank by, and what to leave out. */
export function RankingForm({ metrics, fields, faults, pending, onChange, onRank }: RankingFormProps) {
  const { metric, order, filters, topK } = fields;
  const setFilter = (index: number, change: Partial<FilterFields>) =>
    onChange({ ...fields, filters: filters.map((filter, i) => (i === index ? { ...filter, ...change } : filter)) });
  const best = isLowerBetter(metric) ? 'lowest first' : 'highest first';
  const options = metrics.map((name) => <option key={name}>{name}</option>);
  return (
    <form
      class="stack-small"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (!pending) onRank();
      }}
    >
      <div class="rank-fields">
        <RankField label="Metric" fault={faults.metric}>
          {(field) => (
            <select
              {...field}
              value={metric}
              onChange={(event) => onChange({ ...fields, metric: event.currentTarget.value })}
            >
              {options}
            </select>
          )}
        </RankField>
        <RankField label="Order" fault={undefined}>
          {(field) => (
            <select
              {...field}
              value={order}
              onChange={(event) => onChange({ ...fields, order: event.currentTarget.value as RankFields['order'] })}
            >
              <option value="best">Best first ({best})</option>
              <option value="highest">Highest first</option>
              <option value="lowest">Lowest first</option>
            </select>
          )}
        </RankField>
        <RankField label="How many" fault={faults.top_k}>
          {(field) => (
            <input
              {...field}
              inputMode="numeric"
              placeholder="All"
              value={topK}
              onInput={(event) => onChange({ ...fields, topK: event.currentTarget.value })}
            />
          )}
        </RankField>
      </div>
      {filters.map((filter, index) => (
        <Filter
          key={index}
          number={index + 1}
          filter={filter}
          options={options}
          faultOf={(name) => faults[`filters/${index}/${name}`]}
          onChange={(change) => setFilter(index, change)}
          onRemove={() => onChange({ ...fields, filters: filters.filter((_, i) => i !== index) })}
        />
      ))}
      {faults[''] && (
        <p class="fault" role="alert">
          {faults['']}
        </p>
      )}
      <div class="buttons">
        <button type="submit" class="button button-primary" aria-disabled={pending}>
          {pending ? 'Ranking…' : 'Rank'}
        </button>
        <button
          type="button"
          class="button"
          onClick={() => onChange({ ...fields, filters: [...filters, { metric, min: '', max: '' }] })}
        >
          Add a filter
        </button>
      </div>
    </form>
  );
}

interface FilterProps {
  readonly number: number;
  readonly filter: FilterFields;
  readonly options: preact.ComponentChildren;
  readonly faultOf: (name: 'metric' | 'min' | 'max') => string | undefined;
  readonly onChange: (change: Partial<FilterFields>) => void;
  readonly onRemove: () => void;
}

function Filter({ number, filter, options, faultOf, onChange, onRemove }: FilterProps) {
  const titleId = useId();
  return (
    <fieldset class="rank-filter" aria-labelledby={titleId}>
      <legend id={titleId} class="visually-hidden">
        Filter {number}
      </legend>
      <RankField label="Only where" fault={faultOf('metric')}>
        {(field) => (
          <select
            {...field}
            value={filter.metric}
            onChange={(event) => onChange({ metric: event.currentTarget.value })}
          >
            {options}
          </select>
        )}
      </RankField>
      {(['min', 'max'] as const).map((end) => (
        <RankField key={end} label={end === 'min' ? 'At least' : 'At most'} fault={faultOf(end)}>
          {(field) => (
            <input
              {...field}
              inputMode="decimal"
              value={filter[end]}
              onInput={(event) => onChange({ [end]: event.currentTarget.value })}
            />
          )}
        </RankField>
      ))}
      <button type="button" class="button button-quiet" aria-label={`Remove filter ${number}`} onClick={onRemove}>
        Remove
      </button>
    </fieldset>
  );
}
