// How the cameras and the engine are, in words and numbers.

import { clock, element, milliseconds, secondsSince, span } from "./words.js";

function list(title, rows) {
  const items = rows.flatMap(([name, value, bad]) => {
    const dd = element("dd", { text: value });
    if (bad) dd.dataset.bad = "";
    return [element("dt", { text: name }), dd];
  });
  return element("div", {}, element("h3", { text: title }), element("dl", {}, ...items));
}

function camera(view) {
  const status = view.status;
  if (!status) return list(view.camera, [["State", "not heard of yet", true]]);
  const rows = [
    ["State", `${status.state} for ${span(secondsSince(status.since))}`, status.state !== "live"],
    ["Newest frame", status.captured_at ? clock(status.captured_at) : "none yet"],
    ["Captured", status.captured.toLocaleString()],
    ["Answered", status.processed.toLocaleString()],
    ["Skipped", status.skipped.toLocaleString()],
    ["Went away", `${status.lost.toLocaleString()} times`, false],
  ];
  if (status.detail) rows.splice(1, 0, ["Because", status.detail, true]);
  return list(view.camera, rows);
}

function engine(state, view) {
  const rows = [["Engine", state.engine], ["Bundle", state.bundle], ["Head", `${state.head}, ${state.classes.length} classes`]];
  if (view) rows.push(["Answers", `${view.fps.toFixed(1)} a second`]);
  if (view?.interval_ms) rows.push(["Between two", `${milliseconds(view.interval_ms.p50)}, 99 % ${milliseconds(view.interval_ms.p99)}`]);
  rows.push(["Up for", span(secondsSince(state.started_at))]);
  for (const [name, version] of Object.entries(state.versions)) rows.push([name, version]);
  return list("Engine", rows);
}

export function showHealth(box, state, views, chosen) {
  box.replaceChildren(...[...views.values()].map(camera), engine(state, views.get(chosen)));
}
