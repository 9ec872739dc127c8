// Times, numbers and elements, the same everywhere. Text is always set as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  const { text, ...rest } = options;
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(rest)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const percent = (share) => `${Math.round(share * 100)} %`;

export const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

// A device without a battery may live in another year. Times in text are the device's, numbers are the
// browser's; `local` turns both into the browser's.
let skew = 0;

export function deviceClock(now) {
  skew = Date.now() - new Date(now).getTime();
}

export const local = (time) => (typeof time === "number" ? time : new Date(time).getTime() + skew);

export function clock(time) {
  return new Date(local(time)).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export function span(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const secondsSince = (time) => Math.max(0, (Date.now() - local(time)) / 1000);
