// Says over the picture that it is not fresh, why, and since when; says the state in the header.

import { byId, clock, secondsSince, span } from "./words.js";

const TITLES = { connecting: "Connecting to the camera", stalled: "The camera is stalled", lost: "The camera is lost", gone: "The device does not answer", silent: "The camera loop is silent" };
const PILLS = { live: "Live", connecting: "Connecting", stalled: "Stalled", lost: "Lost", gone: "No connection", silent: "Silent" };
const SILENT_S = 6; // a state is told every second

export class Notice {
  // `changed` is called with whether there is a fresh picture.
  constructor(stage, pill, changed) {
    this.changed = changed;
    this.stage = stage;
    this.pill = pill;
    this.view = null;
    this.heard = Date.now();
    this.down = null; // since when the line is down
    setInterval(() => this.draw(), 500);
  }

  // The newest view of the camera that is watched; null before it was heard of.
  told(view) {
    this.view = view;
    this.heard = Date.now();
    this.draw();
  }

  line(up) {
    if (up === (this.down === null)) return;
    this.down = up ? null : Date.now();
    this.heard = Date.now();
    this.draw();
  }

  // State, words, and since when it has been so.
  judge() {
    const status = this.view?.status;
    if (this.down !== null) return ["gone", "Trying again until it is back.", this.down];
    if (!status) return ["connecting", "", null];
    if ((Date.now() - this.heard) / 1000 > SILENT_S) return ["silent", "It has stopped telling how the camera is.", this.heard];
    if (status.state !== "live") return [status.state, status.detail, status.since];
    if (this.view.stale) return ["silent", this.view.stale, null];
    return ["live", "", null];
  }

  draw() {
    const [state, words, since] = this.judge();
    const fresh = state === "live";
    if (this.pill.dataset.state !== state) {
      this.pill.dataset.state = state;
      this.pill.textContent = PILLS[state];
    }
    this.stage.toggleAttribute("data-stale", !fresh);
    this.changed(fresh);
    byId("notice").hidden = fresh;
    if (fresh) return;
    put("notice-title", TITLES[state]);
    put("notice-words", words);
    put("notice-since", since === null ? "" : `No fresh picture since ${clock(since)} (${span(Math.round(secondsSince(since)))})`);
  }
}

function put(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}
