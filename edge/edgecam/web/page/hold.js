// A button that acts for as long as it is held, by pointer or by keyboard, and lets go whatever happens.

const SAY_MS = 700; // the device lets go by itself when it has not heard for two seconds
const LEAST_MS = 400; // a tap is long enough for one frame

export class HoldButton {
  // `press` is called at once and again while it is held; what it promises is whether to go on.
  constructor(button, press, release) {
    this.button = button;
    this.press = press;
    this.release = release;
    this.held = false;
    this.since = 0;
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.down();
    });
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
      button.addEventListener(kind, () => this.up());
    }
    button.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) this.down();
    });
    button.addEventListener("keyup", (event) => {
      if (event.key === " " || event.key === "Enter") this.up();
    });
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.up(); });
  }

  async down() {
    if (this.held || this.button.disabled) return;
    this.held = true;
    this.since = Date.now();
    while (this.held) {
      if (!(await this.press())) {
        this.held = false;
        return;
      }
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, SAY_MS);
      });
    }
  }

  async up() {
    if (!this.held) return;
    const left = LEAST_MS - (Date.now() - this.since);
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    if (!this.held) return;
    this.held = false;
    this.wake?.();
    await this.release();
  }
}
