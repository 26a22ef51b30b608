/** Puts a text into the clipboard. Rejects where the browser forbids it. */
export async function copy(text: string): Promise<void> {
  // Only where the page came by https or from this machine; elsewhere the old way still works.
  if (window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  if (!done) throw new Error("the browser forbids it on a page without https");
}

/** Gives a text as a file. */
export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it up by then; without this it would be kept as long as the page.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
