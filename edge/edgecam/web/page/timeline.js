// Events by their id, newest first, and alarms by their rule.

import { clock, element, percent, span } from "./words.js";

const MOST = 100;
const MOST_ALARMS = 8;

export class Timeline {
  constructor(list, empty, hidden) {
    this.list = list;
    this.empty = empty;
    this.hidden = hidden; // classes that are switched off
    this.items = new Map();
    this.several = false; // more than one camera, so each event says which
    this.mark = null; // asks what an event was; null where nothing can be taught
    this.taught = new Map(); // source -> what it was taught as
  }

  tell(event) {
    let item = this.items.get(event.id);
    if (!item) {
      item = { row: this.row(), event };
      this.items.set(event.id, item);
      this.list.prepend(item.row.li);
      for (const id of this.items.keys()) {
        if (this.items.size <= MOST) break;
        this.items.get(id).row.li.remove();
        this.items.delete(id);
      }
    }
    item.event = event;
    this.fill(item);
  }

  row() {
    const image = element("img", { alt: "", loading: "lazy" });
    image.addEventListener("error", () => { image.hidden = true; });
    const link = element("a", { target: "_blank", rel: "noopener" }, image);
    const name = element("b"), words = element("span", { class: "when" });
    const wrong = element("button", { class: "quiet wrong", type: "button" });
    const li = element("li", {}, link, element("div", {}, name, words, wrong));
    return { li, link, image, name, words, wrong };
  }

  fill({ row, event }) {
    const address = `/thumbnail.jpg?event=${encodeURIComponent(event.id)}&frame=${event.best.frame}`;
    if (row.link.getAttribute("href") !== address) {
      row.image.hidden = false;
      row.image.src = row.link.href = address;
      row.link.setAttribute("aria-label", `Picture of ${event.label} at ${clock(event.started_at)}`);
    }
    const over = event.phase === "end";
    const length = (new Date(event.seen_at) - new Date(event.started_at)) / 1000;
    row.name.textContent = `${event.label} ${percent(event.confidence)}`;
    const where = this.several ? `${event.camera} · ` : "";
    const why = over && event.why && event.why !== "gone" ? ` (${event.why})` : "";
    const state = over
      ? element("span", { text: `${span(length)}${why}` })
      : element("span", { class: "now", text: "there now" });
    row.words.replaceChildren(`${where}${clock(event.started_at)} · `, state);
    this.offer(row, event, address);
    row.li.hidden = this.hidden.has(event.label);
    this.empty.hidden = this.items.size > 0;
  }

  offer(row, event, picture) {
    const taught = this.taught.get(`event ${event.id}`);
    row.wrong.hidden = this.mark === null;
    row.wrong.textContent = taught ? `taught as ${taught}` : "This was …";
    row.wrong.toggleAttribute("data-done", Boolean(taught));
    row.wrong.onclick = () =>
      this.mark?.open({ picture, called: taught ?? event.label, title: "What was this?", path: "mark", body: { event: event.id } });
  }

  redraw() {
    for (const item of this.items.values()) this.fill(item);
  }
}

export class Alarms {
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
    this.items = new Map();
  }

  tell(alarm) {
    const key = JSON.stringify([alarm.rule, alarm.camera, alarm.label]);
    this.items.get(key)?.remove();
    const title = alarm.firing ? alarm.label : `${alarm.label}: over`;
    const chance = alarm.p < 1e-4 ? alarm.p.toExponential(1) : alarm.p.toPrecision(2);
    const words =
      `${alarm.events} in ${span(alarm.window_s)}, ${Number(alarm.expected.toPrecision(3))} expected ` +
      `(by chance: ${chance}) · ${alarm.camera} · ${clock(alarm.at)}`;
    const item = element("li", { class: "alarm", title: alarm.rule }, element("b", { text: title }), words);
    if (!alarm.firing) item.dataset.over = "";
    this.items.set(key, item);
    // Those that still fire stand first.
    const firstOver = this.list.querySelector("[data-over]");
    this.list.insertBefore(item, alarm.firing ? this.list.firstChild : firstOver);
    for (const old of [...this.list.children].slice(MOST_ALARMS)) old.remove();
    this.empty.hidden = this.list.children.length > 0;
  }
}
