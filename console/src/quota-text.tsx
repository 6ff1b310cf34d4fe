import type { Quota } from './quota.ts';

/** How many submissions are left. */
export function QuotaText({ quota: { limit, remaining, resetsAt } }: { readonly quota: Quota }) {
  const reset = resetsAt === undefined ? '' : `; all of them again at ${new Date(resetsAt).toLocaleTimeString()}`;
  const sentence = `${remaining} of ${limit} submissions left${reset}`;
  return (
    <p class="quota" data-spent={remaining === 0} title={sentence}>
      <span class="visually-hidden">{sentence}</span>
      <span aria-hidden="true">
        {remaining}
        <span class="quota-limit">/{limit}</span> left
      </span>
    </p>
  );
}
