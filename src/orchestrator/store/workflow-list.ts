import type { Queryable } from './database.ts';
import { type Joined, type State, WITH_STEPS, type WorkflowWithSteps, withSteps } from './workflows.ts';

/** How far a selector is looked into to see how dense it is there: five pages as most ask for them. */
const PROBE_DEPTH = 100;
/** Of how many selectors that is found out: more would take longer than they save. */
const MAX_PROBES = 8;

export interface ListQuery {
  readonly principal: string | undefined;
  readonly state: State | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly after: { readonly createdUs: bigint; readonly id: string } | undefined;
  readonly limit: number;
  /** No workflow is added to specs of this size together; the first one is listed whatever its size. */
  readonly maxSpecBytes: number;
}

export interface WorkflowList {
  readonly workflows: readonly WorkflowWithSteps[];
  /** Whether there are others after these. */
  readonly more: boolean;
}

/** Along which index to walk: of a label, of a state, or of all workflows. The other selectors leave out what it meets. */
type Lead = { readonly label: readonly [key: string, value: string] } | { readonly state: State } | 'all';

/** Newest first; `after` is the last workflow of the page before. */
export async function listWorkflows(db: Queryable, query: ListQuery): Promise<WorkflowList> {
  const lead = await chooseLead(db, query);
  // One more than asked for tells whether there is another page.
  const parameters: unknown[] = [query.limit + 1, query.limit, query.maxSpecBytes];
  const { from, where, newestFirst } = walk(lead, query, parameters);
  const labels = Object.entries(query.labels);
  // For the planner "coalesce" is any condition: it would take the other for one that hardly any workflow fulfils.
  const others = [
    ...(query.state && !isState(lead) ? [`w.state = $${parameters.push(query.state)}`] : []),
    ...(labels.length > (isLabel(lead) ? 1 : 0)
      ? [`coalesce(w.labels @> $${parameters.push(JSON.stringify(query.labels))}, false)`]
      : []),
  ];
  // As an object, so that it is planned for the label that it is about: see preparing-client.ts.
  const { rows } = await db.query<Joined & { found: number }>({
    text: `with found as (
       select w.id, w.created_at, octet_length(w.spec) as bytes
       from ${from} ${isLabel(lead) ? 'join workflows w on w.id = l.workflow_id' : ''}
       where ${[...where, ...others, 'true'].join(' and ')} order by ${newestFirst} limit $1),
     measured as (
       select id, row_number() over newest as place, sum(bytes) over newest - bytes as bytes_before from found
       window newest as (order by created_at desc, id desc))
     select ${WITH_STEPS}, (select count(*)::integer from found) as found
     from measured m join workflows w on w.id = m.id
     where m.place <= $2 and (m.place = 1 or m.bytes_before < $3) order by m.place`,
    values: parameters,
  });
  return { workflows: rows.map(({ found: _, ...row }) => withSteps(row)), more: (rows[0]?.found ?? 0) > rows.length };
}

/**
 * The selector with the fewest workflows around the page: the planner's statistics know neither how many have a label nor
 * whether those are old or new.
 */
async function chooseLead(db: Queryable, query: ListQuery): Promise<Lead> {
  const selectors: Lead[] = Object.entries(query.labels).map((label) => ({ label }));
  if (query.state) selectors.push({ state: query.state });
  const leads = selectors.slice(-MAX_PROBES);
  if (leads.length < 2) return leads[0] ?? 'all';
  const parameters: unknown[] = [];
  const probes = leads.map((lead, index) => {
    const { from, where, newestFirst, createdAt } = walk(lead, query, parameters);
    return `select ${index} as lead, (select ${createdAt} from ${from} where ${where.join(' and ')}
      order by ${newestFirst} offset ${PROBE_DEPTH} limit 1) as reach`;
  });
  // The farther back so many of them reach, the fewer there are; null: there are not even so many.
  const text = `${probes.join(' union all ')} order by reach nulls first, lead limit 1`;
  const { rows } = await db.query<{ lead: number }>({ text, values: parameters });
  return leads[rows[0]!.lead]!;
}

/** How to walk along the index of `lead`, from the beginning of the page on. Adds to `parameters`. */
function walk(lead: Lead, { principal, after }: ListQuery, parameters: unknown[]) {
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const [from, row, id] = isLabel(lead) ? ['workflow_labels l', 'l', 'l.workflow_id'] : ['workflows w', 'w', 'w.id'];
  const createdAt = `${row}.created_at`;
  const where: string[] = [];
  if (principal !== undefined) where.push(`${row}.owner = ${bind(principal)}`);
  const newest = after && {
    createdAt: `timestamptz 'epoch' + ${bind(after.createdUs)}::bigint * interval '1 microsecond'`,
    id: bind(after.id),
  };
  if (isState(lead)) {
    // Not `state = …`, with which a walk from the newest of all looks just as good to the planner.
    const [state, place] = [bind(lead.state), `(w.state, ${createdAt}, ${id})`];
    where.push(`${place} >= (${state}, timestamptz '-infinity', '')`);
    where.push(`${place} <= (${state}, ${newest?.createdAt ?? `timestamptz 'infinity'`}, ${newest?.id ?? `''`})`);
    if (newest) where.push(`${id} <> ${newest.id}`);
    return { from, where, createdAt, newestFirst: `w.state desc, ${createdAt} desc, ${id} desc` };
  }
  if (isLabel(lead)) where.push(`l.label = label_digest(${bind(lead.label[0])}, ${bind(lead.label[1])})`);
  if (newest) where.push(`(${createdAt}, ${id}) < (${newest.createdAt}, ${newest.id})`);
  return { from, where, createdAt, newestFirst: `${createdAt} desc, ${id} desc` };
}

function isLabel(lead: Lead): lead is Extract<Lead, { label: unknown }> {
  return typeof lead === 'object' && 'label' in lead;
}

function isState(lead: Lead): lead is Extract<Lead, { state: unknown }> {
  return typeof lead === 'object' && 'state' in lead;
}
