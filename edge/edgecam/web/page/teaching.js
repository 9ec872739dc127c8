// The panel that teaches: what was taught, how good it is, and every wish to change it.

import { HoldButton } from "./hold.js";
import { Mark } from "./mark.js";
import { Pictures } from "./taught.js";
import { byId, element } from "./words.js";

const AGAIN_MS = 150; // between two looks at what changed
const KEY = "edgecam.page";

// What this page calls itself, so that a reload is still the same one. randomUUID wants https.
function pageName() {
  const made = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
  try {
    const name = sessionStorage.getItem(KEY) || made();
    sessionStorage.setItem(KEY, name);
    return name;
  } catch {
    return made();
  }
}

export class Teaching {
  // `camera` gives the camera that is shown, `classes` what is known already, `changed` is called with who was
  // taught what, by its source.
  constructor(camera, classes, changed) {
    this.camera = camera;
    this.classes = classes;
    this.changed = changed;
    this.page = pageName();
    this.told = null;
    this.looking = null;
    this.refused = ""; // what the device said to the last wish
    this.mark = new Mark(() => this.names(), (path, body) => this.ask(path, body));
    this.pictures = new Pictures(byId("taught"), byId("hard"), this.mark, (path, body) => this.ask(path, body));
    const hold = new HoldButton(byId("hold"), () => this.collect(), () => this.ask("release", {}));
    this.hold = hold;
    byId("class-name").addEventListener("input", () => this.ready());
    byId("class-name").addEventListener("keydown", (event) => {
      if (event.key === "Enter") byId("hold").focus();
    });
    byId("undo").addEventListener("click", () => this.ask("undo", {}));
    byId("head").addEventListener("change", () => this.ask("use", { head: byId("head").value }));
    window.addEventListener("pagehide", () => this.leave());
    this.ready();
  }

  get on() {
    return this.told !== null;
  }

  // Looks once for many changes that come together.
  look() {
    this.again = true;
    if (this.looking) return;
    this.looking = (async () => {
      while (this.again) {
        this.again = false;
        const answer = await fetch("/api/teach").catch(() => null);
        if (answer?.ok) this.show(await answer.json());
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
      this.looking = null;
    })();
  }

  // Whether it was done; what was said otherwise is shown.
  async ask(path, body) {
    const request = {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Edgecam-Key": this.told?.key ?? "" },
      body: JSON.stringify({ page: this.page, ...body }),
    };
    const answer = await fetch(`/api/teach/${path}`, request).catch(() => null);
    this.refused = answer?.ok ? "" : answer ? (await answer.text()).trim() : "The device does not answer.";
    this.say();
    return answer?.ok ?? false;
  }

  collect() {
    return this.ask("collect", {
      label: byId("class-name").value.trim(),
      camera: this.camera(),
      anyway: byId("anyway").checked,
    });
  }

  leave() {
    if (!this.on) return;
    const headers = { "Content-Type": "application/json", "X-Edgecam-Key": this.told.key };
    fetch("/api/teach/leave", { method: "POST", headers, body: JSON.stringify({ page: this.page }), keepalive: true }).catch(() => {});
  }

  // Names that were taught, then those that the head knew before.
  names() {
    const taught = this.told ? this.told.photos.map((photo) => photo.label) : [];
    return [...new Set([...taught, ...this.classes()])];
  }

  show(told) {
    this.told = told;
    fill(byId("class-names"), this.names(), (name) => element("option", { value: name }));
    byId("undo").disabled = told.version === null && told.unlearned === 0;
    this.pictures.show(told);
    this.figures(told);
    this.say();
    this.changed(new Map(told.photos.map((photo) => [photo.source, photo.label])));
  }

  // Which head answers, of those there are.
  answering(head) {
    const box = byId("head");
    const heads = this.told ? this.told.heads : [head];
    fill(box, heads.includes(head) ? heads : [head, ...heads], (name) => element("option", { value: name, text: name }));
    if (document.activeElement !== box) box.value = head;
  }

  figures({ figures, version }) {
    const right = figures?.accuracy;
    byId("accuracy").hidden = !figures;
    if (!figures) return;
    const share = (value) => `${Math.round(value * 100)} %`;
    byId("accuracy-value").textContent = right ? share(right.value) : "unknown";
    byId("accuracy-words").textContent = right
      ? `of the photos are named rightly when they are left out: ${share(right.ci95[0])} to ${share(right.ci95[1])} with 95 % confidence, n ${right.n}`
      : "how often it is right: every class has one photo alone";
    byId("accuracy-how").textContent = `Version ${version}, fitted by ${figures.method}`;
    const bar = byId("accuracy-bar");
    bar.hidden = !right;
    if (!right) return;
    bar.style.setProperty("--low", right.ci95[0]);
    bar.style.setProperty("--high", right.ci95[1]);
    bar.style.setProperty("--value", right.value);
  }

  ready() {
    const named = byId("class-name").value.trim() !== "" && this.camera() !== null;
    byId("hold").disabled = !named && !this.hold.held;
    byId("hold").textContent = this.hold.held ? "Collecting" : "Hold to collect";
  }

  say() {
    const told = this.told;
    this.ready();
    const trouble = (this.refused || told?.trouble || "").split("\n")[0];
    const place = byId("teach-trouble");
    place.hidden = trouble === "";
    if (place.textContent !== trouble) place.textContent = trouble;
    if (!told) return;
    byId("hold").toggleAttribute("data-held", told.hold !== null);
    const words = told.hold
      ? `${told.taken} taken as ${told.hold.label}`
      : told.busy === "learning" ? "Learning" : told.taken ? `${told.taken} taken` : "";
    const hints = told.hold || told.taken ? told.hints : [];
    const hint = [...hints, ...(told.hold ? [] : [told.advice.split("\n")[0]])].filter(Boolean).join(" · ");
    put(byId("teach-words"), words);
    put(byId("teach-hint"), hint);
  }
}

function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// Children made anew where the names are other ones, so that an open list stays open.
function fill(box, names, make) {
  const key = JSON.stringify(names);
  if (box.dataset.names === key) return;
  box.dataset.names = key;
  box.replaceChildren(...names.map(make));
}
