import type { AreaReport, Check, Row } from './report.ts';

/** The report as lines for a terminal. */
export function formatReport({
  area,
  title,
  subject = 'gateway',
  rows,
  checks = [],
  rounds,
  notes,
}: AreaReport): string {
  const times = rounds.length === 1 ? 'one round' : `medians of ${rounds.length} rounds`;
  const tables = [formatRows(rows, subject), ...(checks.length > 0 ? ['', formatChecks(checks)] : [])];
  return [`${area}: ${title}; ${times}`, '', ...tables, '', ...notes].join('\n');
}

function formatRows(rows: readonly Row[], subject: string): string {
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers)))];
  const head = ['', subject, 'limit', '', ...peers.flatMap((peer) => [peer, `${subject}/${peer}`, 'of the rounds'])];
  const body = rows.map((row) => {
    const { label, unit, limit, ratioLimit, ratioFloor, ratioLimits = {}, ratioFloors = {}, gateway, passed } = row;
    const limits = [
      ...(limit === undefined ? [] : [`${limit} ${unit}`]),
      ...(ratioLimit === undefined ? [] : [`×${ratioLimit}`]),
      ...(ratioFloor === undefined ? [] : [`≥ ×${ratioFloor}`]),
      ...Object.entries(ratioLimits).map(([peer, ratio]) => `×${ratio} ${peer}`),
      ...Object.entries(ratioFloors).map(([peer, ratio]) => `≥ ×${ratio} ${peer}`),
    ];
    const compared = peers.flatMap((peer) => {
      const other = row.peers[peer];
      if (!other) return ['', '', ''];
      const { value, ratio, spread } = other;
      return [`${value.toFixed(1)} ${unit}`, ratio.toFixed(3), spread.map((each) => each.toFixed(3)).join('–')];
    });
    return [label, `${gateway.toFixed(1)} ${unit}`, limits.join(', '), verdict(limits.length > 0, passed), ...compared];
  });
  return formatTable([head, ...body]);
}

function formatChecks(checks: readonly Check[]): string {
  const situations = [...new Set(checks.flatMap(({ cells }) => Object.keys(cells)))];
  const head = ['', '', ...situations];
  const body = checks.map(({ label, unit, cells, passed }) => {
    const texts = situations.map((situation) => {
      const cell = cells[situation];
      if (!cell) return '';
      const value = Number.isInteger(cell.value) ? String(cell.value) : cell.value.toFixed(1);
      return [value, ...(unit ? [unit] : []), ...(cell.limit === undefined ? [] : [`(≤ ${cell.limit})`])].join(' ');
    });
    const isLimited = Object.values(cells).some(({ limit }) => limit !== undefined);
    return [label, verdict(isLimited, passed), ...texts];
  });
  return formatTable([head, ...body]);
}

function verdict(isLimited: boolean, passed: boolean): string {
  if (!isLimited) return '';
  return passed ? 'pass' : 'FAIL';
}

function formatTable(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)));
  const format = (cells: readonly string[]) =>
    cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ');
  return lines.map((cells) => format(cells).trimEnd()).join('\n');
}
