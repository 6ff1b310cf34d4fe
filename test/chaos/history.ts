/** What is wrong with the ids that a client saw, which should be 1 to `total`, once each and in order. */
export function checkHistory(ids: readonly number[], total: number): string[] {
  const faults: string[] = [];
  const seen = new Set<number>();
  let last = 0;
  for (const id of ids) {
    if (!Number.isInteger(id) || id < 1 || id > total) faults.push(`${id} was never made`);
    else if (seen.has(id)) faults.push(`${id} came again, after ${last}`);
    else if (id < last) faults.push(`${id} came late, after ${last}`);
    else if (id > last + 1) faults.push(`after ${last} came ${id}`);
    seen.add(id);
    last = Math.max(last, id);
  }
  if (last < total) faults.push(`nothing came after ${last}`);
  return faults;
}
