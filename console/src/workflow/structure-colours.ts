import type { StructureFacts } from './read-structure.ts';

export type ColourScheme = 'confidence' | 'chain';
export type DrawingForm = 'cartoon' | 'trace' | 'stick' | 'sphere';

export interface LegendEntry {
  readonly colour: string;
  readonly text: string;
}

interface ColouredAtom {
  readonly b?: number;
  readonly chain?: string;
}

/** The bands and colours in which AlphaFold's database shows pLDDT. */
const BANDS = [
  { from: 90, colour: '#0053d6', text: 'Very high, 90 and more' },
  { from: 70, colour: '#65cbf3', text: 'High, 70 to 90' },
  { from: 50, colour: '#ffdb13', text: 'Low, 50 to 70' },
  { from: Number.NEGATIVE_INFINITY, colour: '#ff7d45', text: 'Very low, below 50' },
];

/** Told apart also by those who do not see red or green (Okabe and Ito). */
const CHAIN_COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b8ad1f', '#7d7d7d'];

/** The colour of each atom, and what the colours mean. */
export function colourBy(scheme: ColourScheme, { chains, plddtScale = 100 }: StructureFacts) {
  if (scheme === 'confidence') {
    const colourOf = ({ b = 0 }: ColouredAtom) => BANDS.find(({ from }) => (b * 100) / plddtScale >= from)!.colour;
    return { colourOf, legend: BANDS.map(({ colour, text }): LegendEntry => ({ colour, text })) };
  }
  const colours = new Map(chains.map(({ id }, index) => [id, CHAIN_COLOURS[index % CHAIN_COLOURS.length]!]));
  return {
    colourOf: ({ chain = '-' }: ColouredAtom) => colours.get(chain.trim() || '-') ?? CHAIN_COLOURS[0]!,
    legend: chains.map(({ id }): LegendEntry => ({ colour: colours.get(id)!, text: `Chain ${id}` })),
  };
}
