// What a viewer chose, kept in this browser; where storage is forbidden it lasts as long as the page.

export function kept(name, otherwise) {
  try {
    const text = localStorage.getItem("edgecam." + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem("edgecam." + name, JSON.stringify(value));
  } catch { /* not kept */ }
}
