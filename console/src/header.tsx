import { useState } from 'preact/hooks';
import { MoonIcon, SignOutIcon, SunIcon } from './icons.tsx';
import type { Quota } from './quota.ts';
import { QuotaText } from './quota-text.tsx';
import { BASE, Link } from './router.ts';
import type { Route } from './routes.ts';
import type { ThemeSwitch } from './theme.ts';

interface HeaderProps {
  /** Where we are; undefined while nobody is signed in. */
  readonly page: Route['page'] | undefined;
  readonly quota: Quota | undefined;
  readonly themeSwitch: ThemeSwitch;
  readonly onSignOut: (() => void) | undefined;
}

const PAGES = [
  { page: 'list', href: BASE, name: 'Workflows' },
  { page: 'submit', href: `${BASE}submit`, name: 'Submit' },
] as const;

export function Header({ page, quota, themeSwitch, onSignOut }: HeaderProps) {
  return (
    <header class="header">
      <div class="header-row">
        <Link class="brand" href={BASE}>
          <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" class="brand-mark">
            <path d="M6 24c0-8 6-3 6-10S6 8 10 5.5s8 1 8 5.5-4 5-4 10 5 8 9 5 5-9 1-12.500" />
          </svg>
          FoldForge
        </Link>
        {page !== undefined && (
          <nav class="header-nav" aria-label="Pages">
            {PAGES.map(({ page: name, href, name: text }) => (
              <Link key={name} href={href} aria-current={name === page ? 'page' : undefined}>
                {text}
              </Link>
            ))}
          </nav>
        )}
        <div class="header-end">
          {quota && <QuotaText quota={quota} />}
          <ThemeButton themeSwitch={themeSwitch} />
          {onSignOut && (
            <button type="button" class="button button-quiet button-small sign-out" onClick={onSignOut}>
              <SignOutIcon />
              <span class="sign-out-text">Sign out</span>
            </button>
          )}
        </div>
      </div>
    </header>
  );
}

function ThemeButton({ themeSwitch }: { readonly themeSwitch: ThemeSwitch }) {
  const [theme, setTheme] = useState(themeSwitch.current);
  const label = theme === 'dark' ? 'Use the light theme' : 'Use the dark theme';
  return (
    <button
      type="button"
      class="button button-quiet button-small button-icon"
      aria-label={label}
      title={label}
      onClick={() => setTheme(themeSwitch.toggle())}
    >
      {theme === 'dark' ? <SunIcon /> : <MoonIcon />}
    </button>
  );
}
