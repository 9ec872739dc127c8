// What a viewer chooses: the theme, the camera, the classes.

import { byId, element } from "./words.js";
import { keep, kept } from "./keep.js";

const THEMES = ["auto", "dark", "light"];

export function themeButton(button, changed) {
  const root = document.documentElement;
  const name = () => root.dataset.theme || "auto";
  const say = () => { button.textContent = `Theme: ${name()}`; };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(name()) + 1) % THEMES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try { localStorage.setItem("edgecam.theme", next); } catch { /* not kept */ }
    say();
    changed();
  });
  say();
}

const FEW = 12; // more classes than this are searched

// One switch a class. `hidden` is the set of those that are off; it is changed in place.
export function classSwitches(box, classes, hidden, changed) {
  box.querySelectorAll("label").forEach((label) => label.remove());
  const inputs = classes.map((name) => {
    const input = element("input", { type: "checkbox" });
    input.checked = !hidden.has(name);
    input.addEventListener("change", () => switched([[name, input]]));
    box.append(element("label", { class: "chip", title: name }, input, element("span", { text: name })));
    return [name, input];
  });
  const switched = (some) => {
    for (const [name, input] of some) {
      if (input.checked) hidden.delete(name);
      else hidden.add(name);
    }
    keep("hidden", [...hidden]);
    changed();
  };
  const find = byId("find-class");
  find.hidden = classes.length <= FEW;
  find.oninput = () => {
    const wanted = find.value.trim().toLowerCase();
    for (const [name, input] of inputs) input.parentElement.hidden = !name.toLowerCase().includes(wanted);
  };
  // Both act on what is found.
  const all = (on) => () => {
    const found = inputs.filter(([, input]) => !input.parentElement.hidden);
    for (const [, input] of found) input.checked = on;
    switched(found);
  };
  byId("all-classes").onclick = all(true);
  byId("no-classes").onclick = all(false);
}

export const hiddenClasses = () => new Set(kept("hidden", []));

export function cameraSwitches(box, cameras, chosen, changed) {
  box.hidden = cameras.length < 2;
  box.querySelectorAll("label").forEach((label) => label.remove());
  for (const name of cameras) {
    const input = element("input", { type: "radio", name: "camera", value: name });
    input.checked = name === chosen;
    input.addEventListener("change", () => changed(name));
    box.append(element("label", { class: "chip", title: name }, input, element("span", { text: name })));
  }
}

// So that a camera that is lost is noticed while another one is watched.
export function cameraStates(box, views) {
  for (const label of box.querySelectorAll("label")) {
    const state = views.get(label.querySelector("input").value)?.status?.state;
    if (state) label.dataset.state = state;
  }
}
