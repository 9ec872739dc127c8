// Puts the page together: what is told goes to the panels, what is chosen goes to the picture.

import { Answer } from "./answer.js";
import { cameraStates, cameraSwitches, classSwitches, hiddenClasses, themeButton } from "./choices.js";
import { showHealth } from "./health.js";
import { keep, kept } from "./keep.js";
import { Live } from "./live.js";
import { News } from "./news.js";
import { Notice } from "./notice.js";
import { Plot } from "./plot.js";
import { Stage } from "./stage.js";
import { Teaching } from "./teaching.js";
import { Alarms, Timeline } from "./timeline.js";
import { byId, deviceClock, milliseconds, percent } from "./words.js";

const hidden = hiddenClasses();
const views = new Map(); // camera -> its newest view
let state = null; // what /api/state said when the page was opened or the server came back
let chosen = null; // the camera that is shown

const stage = new Stage(byId("picture"));
const answer = new Answer(byId("answer"), byId("label"), byId("bars"), hidden);
const notice = new Notice(byId("stage"), byId("state"), (fresh) => answer.stale(!fresh));
const timeline = new Timeline(byId("timeline"), byId("no-events"), hidden);
const alarms = new Alarms(byId("alarms"), byId("no-alarms"));
const teaching = new Teaching(() => chosen, () => state?.classes ?? [], (taught) => {
  timeline.taught = taught;
  timeline.redraw();
  teaching.answering(state.head);
});
const plots = [
  new Plot(byId("age"), " ms", (second) => second.age_ms, (second) => second.worst_ms),
  new Plot(byId("rate"), "", (second) => second.answers),
];
let picturedAt = 0; // when the last picture was shown
const live = new Live((picture) => {
  picturedAt = Date.now();
  stage.show(picture);
  tell(picture.result); // the answer beside a picture is the answer about it
});
stage.hidden = hidden;

const news = {
  status(view) {
    deviceClock(view.now);
    const known = views.has(view.camera);
    views.set(view.camera, view);
    if (!known) meet();
    if (view.camera === chosen) numbers(view);
    cameraStates(byId("cameras"), views);
    showHealth(byId("health"), state, views, chosen);
  },
  // For a page that gets no pictures, such as one too many.
  result(result) {
    if (result.camera === chosen && Date.now() - picturedAt > 1500) tell(result);
  },
  event: (event) => timeline.tell(event),
  alarm: (alarm) => alarms.tell(alarm),
  about: () => about(), // another head runs
  teach: () => teaching.look(),
};

function tell(result) {
  answer.show(result);
  const words = `${result.label}, ${percent(result.confidence)}`;
  if (byId("picture").ariaLabel !== words) byId("picture").ariaLabel = words;
}

// Cameras may be heard of one after the other.
function meet() {
  timeline.several = views.size > 1;
  const names = [...views.keys()];
  const wish = kept("camera", null);
  if (names.includes(wish) && chosen !== wish) watch(wish);
  else if (chosen === null) watch(names[0]);
  cameraSwitches(byId("cameras"), names, chosen, (name) => {
    keep("camera", name);
    watch(name);
  });
}

function watch(name) {
  chosen = name;
  stage.clear();
  notice.told(views.get(name) ?? null);
  byId("save").href = `/snapshot.jpg?overlay=none&camera=${encodeURIComponent(name)}`;
  for (const plot of plots) plot.clear();
  teaching.ready();
  history(name);
  if (!document.hidden) live.watch(name);
}

async function history(name) {
  const told = await fetch(`/api/history?camera=${encodeURIComponent(name)}`).catch(() => null);
  if (told?.ok && name === chosen) {
    const { seconds } = await told.json();
    for (const plot of plots) plot.add(seconds);
  }
}

function numbers(view) {
  notice.told(view);
  for (const plot of plots) plot.add(view.seconds);
  byId("rate-now").textContent = view.fps.toFixed(1);
  byId("age-now").textContent = view.age_ms ? milliseconds(view.age_ms.p50) : "";
  byId("age-numbers").textContent = view.age_ms ? `Last minute: ${spread(view.age_ms)}` : "No answer in the last minute.";
  byId("rate-numbers").textContent = view.interval_ms ? `Between two answers: ${spread(view.interval_ms)}` : "";
  byId("age").ariaLabel = `Age of frames. ${byId("age-numbers").textContent}`;
  byId("rate").ariaLabel = `Answers a second: ${view.fps.toFixed(1)}`;
}

const spread = (times) => `median ${milliseconds(times.p50)} · 95 % ${milliseconds(times.p95)} · 99 % ${milliseconds(times.p99)}`;

function controls() {
  const opacity = byId("opacity"), marks = byId("marks");
  const changed = () => {
    stage.opacity = opacity.value / 100;
    stage.marks = marks.checked;
    byId("opacity-out").textContent = `${opacity.value} %`;
    stage.draw();
  };
  opacity.value = kept("opacity", 50);
  marks.checked = kept("marks", true);
  opacity.addEventListener("input", () => { keep("opacity", Number(opacity.value)); changed(); });
  marks.addEventListener("change", () => { keep("marks", marks.checked); changed(); });
  changed();
  themeButton(byId("theme"), () => plots.forEach((plot) => plot.draw()));
  byId("full").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId("stage").requestFullscreen?.();
  });
}

async function about() {
  const told = await fetch("/api/state").catch(() => null);
  if (told?.status === 401) location.reload(); // the token changed: ask for it
  if (!told?.ok) return false;
  state = await told.json();
  deviceClock(state.now);
  byId("bundle").textContent = state.bundle;
  document.title = `${state.bundle} · edgecam`;
  classSwitches(byId("classes"), state.classes, hidden, () => {
    stage.draw();
    timeline.redraw();
  });
  for (const alarm of state.alarms) alarms.tell(alarm);
  byId("teach").hidden = !state.teach;
  document.querySelector("main").toggleAttribute("data-teach", state.teach);
  timeline.mark = state.teach ? teaching.mark : null;
  timeline.redraw();
  teaching.answering(state.head);
  if (state.teach) teaching.look();
  return true;
}

let wasUp = true;
async function online(up) {
  notice.line(up);
  if (up && !wasUp) await about(); // another start, maybe with another head
  wasUp = up;
}

async function start() {
  controls();
  while (!(await about())) {
    notice.line(false);
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
  const line = new News(news, online);
  // Nobody looks at a hidden tab: the device encodes nothing for it, and a browser has few lines to a device.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      live.stop();
      line.stop();
    } else {
      notice.told(null);
      line.open();
      if (chosen !== null) live.watch(chosen);
    }
  });
}

start();
