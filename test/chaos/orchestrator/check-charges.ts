import { usedBy } from '../accounts/check-charges.ts';
import type { Evidence, StoredHistory } from './evidence.ts';
import { PRICE } from './plan.ts';
import { replay } from './replay.ts';

/** What is wrong with what was charged: quota is what was accepted, and the ledger has what the events ask for. */
export function checkCharges(evidence: Evidence): string[] {
  return [...checkQuotas(evidence), ...checkBalances(evidence), ...checkPostings(evidence), ...checkRefusals(evidence)];
}

function checkQuotas({ plan, stories, keyHashes, accounts }: Evidence): string[] {
  return plan.callers.flatMap(({ name, limit }, caller) => {
    if (limit === 0) return [];
    const own = stories.filter(({ order }) => order.caller === caller);
    const accepted = own.filter(({ submitted }) => submitted?.status === 201).length;
    const refused = own.filter(({ submitted }) => submitted?.status === 429).length;
    const used = usedBy(caller, { snapshot: accounts, keyHashes });
    const faults: string[] = [];
    if (used !== accepted) faults.push(`${used} submissions were counted, and ${accepted} accepted`);
    if (used > limit) faults.push(`${used} submissions were counted of ${limit}`);
    if (refused > 0 && used !== limit)
      faults.push(`${refused} were refused, though only ${used} of ${limit} were used`);
    return faults.map((fault) => `${name}: ${fault}`);
  });
}

function checkBalances({ plan, accounts: { ledger, balances } }: Evidence): string[] {
  return Object.entries(plan.credits).flatMap(([principal, granted]) => {
    const faults: string[] = [];
    let sum = 0;
    for (const { delta, reason, balanceAfter } of ledger.filter((entry) => entry.principal === principal)) {
      sum += delta;
      if (balanceAfter !== sum) faults.push(`after ${delta} for ${reason} the balance was ${balanceAfter}, not ${sum}`);
      if (sum < 0) faults.push(`${delta} for ${reason} overdrew the account`);
    }
    const grants = ledger.filter((entry) => entry.principal === principal && entry.reason === 'grant:admin');
    const given = grants.reduce((total, { delta }) => total + delta, 0);
    if (given !== granted) faults.push(`${given} credits were granted, not ${granted}`);
    if (balances.get(principal) !== sum) faults.push(`has ${balances.get(principal)}, but the ledger says ${sum}`);
    return faults.map((fault) => `${principal}: ${fault}`);
  });
}

/** One debit for each acceptance, a refund for each failure of everything, and a debit for each retry after that. */
function checkPostings({ plan, stories, histories, accounts: { ledger, workflows } }: Evidence): string[] {
  const owners = new Map(workflows.map(({ id, owner }) => [id, owner]));
  const orders = new Map(stories.map(({ order }) => [order.name, order]));
  const entries = Map.groupBy(ledger, ({ reason }) => reason.split(':wf:')[1] ?? '');
  const faults = histories.flatMap((history) => {
    const order = orders.get(history.order);
    if (!order) return [];
    const principal = plan.callers[order.caller]!.principal ?? null;
    const due = principal === null ? [] : replay(history.events, order.steps).postings;
    const price = order.steps.length * PRICE;
    const wanted = due.map((kind) => `${kind}:wf:${history.id} ${kind === 'debit' ? -price : price} of ${principal}`);
    const posted = (entries.get(history.id) ?? []).map((e) => `${e.reason} ${e.delta} of ${e.principal}`);
    const owner = owners.get(history.id);
    return [
      ...(owner === principal ? [] : [`${describe(history)} is ${principal}'s, but belongs to ${owner}`]),
      ...(String(posted) === String(wanted)
        ? []
        : [`${describe(history)}: the ledger has ${list(posted)}, but should have ${list(wanted)}`]),
    ];
  });
  const known = new Set(['', ...histories.map(({ id }) => id)]);
  const strays = [...entries.keys()].filter((id) => !known.has(id));
  return [...faults, ...strays.map((id) => `the ledger has entries for ${id}, which does not exist`)];
}

/** Who is refused for want of credits must have been short of them at some time. */
function checkRefusals({ plan, stories, accounts: { ledger } }: Evidence): string[] {
  return stories.flatMap(({ order, submitted, retried }) => {
    const { principal } = plan.callers[order.caller]!;
    if (![submitted, ...retried].some((answer) => answer?.status === 402)) return [];
    const own = ledger.filter((entry) => entry.principal === principal);
    const least = Math.min(...own.map(({ balanceAfter }) => balanceAfter));
    const price = order.steps.length * PRICE;
    if (principal !== undefined && least < price) return [];
    return [`${order.name}: was refused for want of ${price} credits, but ${least} were left at all times`];
  });
}

const describe = ({ order, id }: StoredHistory) => `${order} (${id})`;
const list = (texts: readonly string[]) => texts.join(', ') || 'nothing';
