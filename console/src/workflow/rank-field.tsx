import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

interface RankFieldProps {
  readonly label: string;
  readonly fault: string | undefined;
  readonly children: (field: {
    readonly id: string;
    readonly 'aria-invalid': boolean;
    readonly 'aria-describedby': string | undefined;
  }) => ComponentChildren;
}

/** A field with its label, and with what is wrong with it. */
export function RankField({ label, fault, children }: RankFieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, 'aria-invalid': fault !== undefined, 'aria-describedby': fault && `${id}-fault` })}
      {fault && (
        <p id={`${id}-fault`} class="fault">
          {fault}
        </p>
      )}
    </div>
  );
}
