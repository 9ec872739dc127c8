// What it sees: the answer in large, and the best classes as bars.

import { element, percent } from "./words.js";

export class Answer {
  constructor(panel, label, list, hidden) {
    this.panel = panel;
    this.label = label;
    this.list = list;
    this.hidden = hidden;
    this.rows = [];
  }

  show(result) {
    const known = result.box !== null || result.top[0]?.label === result.label;
    this.label.toggleAttribute("data-dim", !known || this.hidden.has(result.label));
    this.label.replaceChildren(result.label, " ");
    if (known) this.label.append(element("small", { text: percent(result.confidence) }));
    while (this.rows.length < result.top.length) this.rows.push(this.row());
    this.rows.forEach((row, i) => {
      const ranked = result.top[i];
      row.li.hidden = !ranked;
      if (!ranked) return;
      row.name.textContent = ranked.label;
      row.share.textContent = percent(ranked.confidence);
      row.fill.style.setProperty("--share", ranked.confidence);
      row.li.toggleAttribute("data-off", this.hidden.has(ranked.label));
    });
  }

  // An answer about a frame of long ago is none.
  stale(isStale) {
    this.panel.toggleAttribute("data-stale", isStale);
    if (!isStale) return;
    this.label.toggleAttribute("data-dim", true);
    this.label.textContent = "No fresh picture";
  }

  row() {
    const name = element("span", { class: "name" }), share = element("span");
    const fill = element("div", { class: "fill" });
    const li = element("li", {}, name, share, element("div", { class: "track" }, fill));
    this.list.append(li);
    return { li, name, share, fill };
  }
}
