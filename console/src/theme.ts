import type { KeptStorage } from './storage.ts';

const STORED_UNDER = 'foldforge-theme';

export type Theme = 'light' | 'dark';

interface Surroundings {
  readonly storage: KeptStorage;
  /** The <html> element: `data-theme` on it wins over what the system prefers. */
  readonly root: { readonly dataset: { theme?: string | undefined } };
  readonly prefersDark: () => boolean;
}

export type ThemeSwitch = ReturnType<typeof createThemeSwitch>;

/** The theme is the system's until somebody chooses the other one, which is kept; choosing the system's follows it again. */
export function createThemeSwitch({ storage, root, prefersDark }: Surroundings) {
  const systemTheme = (): Theme => (prefersDark() ? 'dark' : 'light');
  const current = (): Theme => (root.dataset.theme === undefined ? systemTheme() : (root.dataset.theme as Theme));

  const stored = storage.getItem(STORED_UNDER);
  if (stored === 'light' || stored === 'dark') root.dataset.theme = stored;

  return {
    current,
    toggle(): Theme {
      const next: Theme = current() === 'dark' ? 'light' : 'dark';
      if (next === systemTheme()) {
        delete root.dataset.theme;
        storage.removeItem(STORED_UNDER);
      } else {
        root.dataset.theme = next;
        storage.setItem(STORED_UNDER, next);
      }
      return next;
    },
  };
}
