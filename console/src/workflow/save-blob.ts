/** A browser reads the URL a moment after the click. */
const KEEP_URL_MS = 60_000;

/** Puts bytes into the reader's downloads, as a file of that name. */
export function saveBlob(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const anchor = document.createElement('a');
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), KEEP_URL_MS);
}
