import { BASE, Link } from './router.ts';

export function NotFoundPage() {
  return (
    <div class="stack">
      <h1 tabIndex={-1}>There is no such page</h1>
      <p class="quiet">The address may have been cut short, or mistyped.</p>
      <div class="buttons">
        <Link class="button" href={BASE}>
          All workflows
        </Link>
      </div>
    </div>
  );
}
