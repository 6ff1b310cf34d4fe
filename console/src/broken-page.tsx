interface BrokenPageProps {
  readonly fault: unknown;
  readonly onAgain: () => void;
}

/** What stands instead of a page whose own code has failed. */
export function BrokenPage({ fault, onAgain }: BrokenPageProps) {
  return (
    <div class="stack">
      <h1 tabIndex={-1}>This page has failed</h1>
      <div class="notice" data-kind="error" role="alert">
        <p>Something is wrong in the console itself. What you submitted is not affected.</p>
        <p class="mono small">{String(fault)}</p>
      </div>
      <div class="buttons">
        <button type="button" class="button" onClick={onAgain}>
          Try again
        </button>
        <a class="button button-quiet" href={location.href}>
          Load the page anew
        </a>
      </div>
    </div>
  );
}
