// Everything that /events says. Browsers come back by themselves, but not after a refusal, and a line that
// died silently is never noticed by them; both are looked after here.

const SILENT_MS = 12000; // the server speaks at least every five seconds
const AGAIN_MS = 2000;

export class News {
  constructor(told, online) {
    this.told = told; // kind -> function of the facts
    this.online = online; // called with whether the line is up
    this.source = null;
    this.heard = Date.now();
    setInterval(() => this.look(), 1000);
    this.open();
  }

  open() {
    this.heard = Date.now();
    this.source = new EventSource("/events?history=1");
    this.source.addEventListener("open", () => this.up());
    this.source.addEventListener("error", () => {
      this.online(false);
      if (this.source?.readyState === EventSource.CLOSED) setTimeout(() => this.again(), AGAIN_MS);
    });
    for (const kind of ["status", "result", "event", "alarm", "beat", "missed", "about", "teach"]) {
      this.source.addEventListener(kind, (message) => {
        this.up();
        this.told[kind]?.(JSON.parse(message.data));
      });
    }
  }

  up() {
    this.heard = Date.now();
    this.online(true);
  }

  stop() {
    this.source.close();
    this.source = null;
  }

  look() {
    if (!this.source || Date.now() - this.heard < SILENT_MS) return;
    this.online(false);
    this.again();
  }

  again() {
    if (!this.source) return; // nobody looks
    this.source.close();
    this.open();
  }
}
