// First, so that what is written for one page comes after it.
import './theme.css';
import './controls.css';
import './shell.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { createSession } from './session.ts';
import { openStorage } from './storage.ts';
import { createThemeSwitch } from './theme.ts';

const themeSwitch = createThemeSwitch({
  storage: openStorage(() => localStorage),
  root: document.documentElement,
  prefersDark: () => matchMedia('(prefers-color-scheme: dark)').matches,
});

const session = createSession(openStorage(() => sessionStorage));

render(<App session={session} themeSwitch={themeSwitch} />, document.getElementById('app')!);
