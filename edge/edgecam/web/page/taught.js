// Photos that were taught, class by class, with their maps; and hard frames that wait for a name.

import { element } from "./words.js";

const MOST = 48; // photos of one class that are shown

export class Pictures {
  constructor(taught, hard, mark, ask) {
    this.taught = taught;
    this.hard = hard;
    this.mark = mark;
    this.ask = ask;
    this.tiles = new Map(); // photo id -> its element
    this.groups = new Map(); // label -> its elements
  }

  show(told) {
    const byLabel = new Map();
    for (const photo of told.photos) {
      if (!byLabel.has(photo.label)) byLabel.set(photo.label, []);
      byLabel.get(photo.label).push(photo);
    }
    const rights = rightly(told.figures);
    for (const label of [...this.groups.keys()]) {
      if (!byLabel.has(label)) {
        this.groups.get(label).box.remove();
        this.groups.delete(label);
      }
    }
    const there = new Set();
    for (const [label, photos] of byLabel) {
      const group = this.group(label);
      const right = rights.get(label);
      const judged = right ? ` · ${right[0]} of ${right[1]} right` : "";
      group.count.textContent = `${photos.length} photo${photos.length > 1 ? "s" : ""}${judged}`;
      group.more.textContent = photos.length > MOST ? `and ${photos.length - MOST} more` : "";
      const tiles = photos.slice(0, MOST).map((photo) => this.tile(photo, told.version ?? 0));
      for (const photo of photos) there.add(photo.id);
      place(group.list, tiles);
    }
    for (const id of [...this.tiles.keys()]) if (!there.has(id)) this.tiles.delete(id);
    this.tray(told);
  }

  group(label) {
    let group = this.groups.get(label);
    if (!group) {
      const count = element("span", { class: "count" }), more = element("p", { class: "hint" });
      const list = element("ul", { class: "tiles", "aria-label": `Photos of ${label}` });
      const box = element("section", {}, element("h3", {}, element("b", { text: label }), " ", count), list, more);
      group = { box, count, list, more };
      this.groups.set(label, group);
      const after = [...this.groups.keys()].sort().indexOf(label) + 1;
      this.taught.insertBefore(box, this.groups.get([...this.groups.keys()].sort()[after])?.box ?? null);
    }
    return group;
  }

  tile(photo, version) {
    let tile = this.tiles.get(photo.id);
    if (!tile) {
      const image = element("img", { alt: "", width: 112, height: 112, loading: "lazy" });
      const open = element("button", { class: "tile", type: "button" }, image);
      const away = element("button", { class: "away", type: "button", text: "×" });
      tile = { li: element("li", {}, open, away), image, open, photo };
      open.addEventListener("click", () =>
        this.mark.open({
          picture: image.src, called: tile.photo.label, title: "What is this?", path: "relabel", body: { id: photo.id },
        }));
      away.setAttribute("aria-label", `Remove this photo of ${photo.label}`);
      away.addEventListener("click", async () => {
        away.disabled = true;
        if (!(await this.ask("remove", { id: photo.id }))) away.disabled = false;
      });
      this.tiles.set(photo.id, tile);
    }
    tile.photo = photo;
    tile.open.setAttribute("aria-label", `Photo of ${photo.label} from ${photo.source}: call it otherwise`);
    const address = `/teach/photo.jpg?id=${photo.id}&version=${version}&label=${encodeURIComponent(photo.label)}`;
    if (tile.image.getAttribute("src") !== address) tile.image.src = address;
    return tile.li;
  }

  tray(told) {
    this.hard.hidden = !told.tray;
    const list = this.hard.querySelector("ul"), empty = this.hard.querySelector(".empty");
    empty.hidden = told.hard.length > 0;
    const named = new Map(told.photos.map((photo) => [photo.source, photo.label]));
    const key = JSON.stringify([told.hard, told.hard.map((photo) => named.get(`tray ${photo.name}`) ?? null)]);
    if (list.dataset.shown === key) return;
    list.dataset.shown = key;
    list.replaceChildren(...told.hard.map((photo) => this.waiting(photo, named.get(`tray ${photo.name}`))));
  }

  waiting(photo, label) {
    const address = `/teach/hard.jpg?name=${encodeURIComponent(photo.name)}`;
    const image = element("img", { alt: "", src: address, width: 112, height: 84, loading: "lazy" });
    const words = label ? `taught as ${label}` : `called ${photo.label || "nothing"}`;
    const open = element("button", { class: "tile", type: "button" }, image, element("span", { text: words }));
    open.toggleAttribute("data-done", Boolean(label));
    open.setAttribute("aria-label", `Hard frame, ${words}: say what it was`);
    open.addEventListener("click", () =>
      this.mark.open({
        picture: address, called: label ?? photo.label, title: "What was this?", path: "mark", body: { hard: photo.name },
      }));
    return element("li", {}, open);
  }
}

// Of each class that was taught: how many left-out photos were named rightly, and of how many.
function rightly(figures) {
  const found = new Map();
  if (!figures) return found;
  const { called, rows } = figures.confusion;
  Object.keys(figures.photos).forEach((label, k) => {
    const judged = rows[k].reduce((sum, count) => sum + count, 0);
    if (judged) found.set(label, [rows[k][called.indexOf(label)], judged]);
  });
  return found;
}

// Puts children in order and touches only those that are elsewhere, so that focus and scrolling stay.
function place(list, children) {
  children.forEach((child, i) => {
    if (list.children[i] !== child) list.insertBefore(child, list.children[i] ?? null);
  });
  while (list.children.length > children.length) list.lastChild.remove();
}
