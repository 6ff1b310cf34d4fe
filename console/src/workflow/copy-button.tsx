import { useEffect, useRef, useState } from 'preact/hooks';

interface CopyButtonProps {
  readonly text: string;
  /** What is copied, for the name of the button: `the SHA-256 of a.pdb`. */
  readonly what: string;
}

const SAID_FOR_MS = 2_000;

/** Puts a text on the clipboard, and says so. */
export function CopyButton({ text, what }: CopyButtonProps) {
  const [said, setSaid] = useState<'Copied' | 'Not copied' | undefined>();
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (said === undefined) return;
    const timer = setTimeout(() => setSaid(undefined), SAID_FOR_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => setSaid((await copyText(text, button.current!)) ? 'Copied' : 'Not copied');
  return (
    <button ref={button} type="button" class="button button-quiet button-small copy" onClick={copy}>
      <span aria-live="polite">{said ?? 'Copy'}</span>
      <span class="visually-hidden"> {what}</span>
    </button>
  );
}

/** On plain http there is no clipboard but that of a selection. */
async function copyText(text: string, beside: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement('textarea');
    field.value = text;
    field.className = 'visually-hidden';
    // Beside the button: outside of an open dialog nothing can be selected.
    beside.after(field);
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    beside.focus();
    return copied;
  }
}
