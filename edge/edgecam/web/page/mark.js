// "This was ...": a name for a picture that was called otherwise, or was taught wrongly.

import { byId, element } from "./words.js";

const FEW = 12; // names that are offered as buttons

export class Mark {
  constructor(names, ask) {
    this.names = names;
    this.ask = ask;
    this.dialog = byId("mark");
    this.wish = null;
    byId("mark-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.done(byId("mark-name").value.trim());
    });
    byId("mark-cancel").addEventListener("click", () => this.dialog.close());
    byId("mark-remove").addEventListener("click", () => {
      this.dialog.close();
      this.ask("remove", { id: this.wish.body.id });
    });
  }

  // `called` is what it is called now; `path` and `body` say what to ask, but for the name.
  open({ picture, called, path, body, title }) {
    this.wish = { path, body };
    byId("mark-title").textContent = title;
    byId("mark-picture").src = picture;
    byId("mark-called").textContent = called;
    byId("mark-remove").hidden = path !== "relabel";
    byId("mark-name").value = "";
    const offered = this.names().filter((name) => name !== called).slice(0, FEW);
    byId("mark-names").replaceChildren(
      ...offered.map((name) => {
        const button = element("button", { class: "quiet", type: "button", text: name });
        button.addEventListener("click", () => this.done(name));
        return button;
      }),
    );
    this.dialog.showModal();
    byId("mark-name").focus();
  }

  async done(label) {
    if (!label) return byId("mark-name").focus();
    this.dialog.close();
    await this.ask(this.wish.path, { ...this.wish.body, label });
  }
}
