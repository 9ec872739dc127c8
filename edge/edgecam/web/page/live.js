// Pictures with their answers from /live: each is a line of JSON, a JPEG, and the cells of the heat map.

class Bytes {
  constructor(stream) {
    this.reader = stream.getReader();
    this.held = new Uint8Array(0);
  }

  async more() {
    const { value, done } = await this.reader.read();
    if (done) throw new Error("the stream ended");
    const joined = new Uint8Array(this.held.length + value.length);
    joined.set(this.held);
    joined.set(value, this.held.length);
    this.held = joined;
  }

  async take(count) {
    while (this.held.length < count) await this.more();
    const taken = this.held.slice(0, count);
    this.held = this.held.subarray(count);
    return taken;
  }

  async line() {
    let end;
    while ((end = this.held.indexOf(10)) < 0) await this.more();
    const text = new TextDecoder().decode(await this.take(end + 1));
    return JSON.parse(text);
  }
}

// Shows one camera until it is told to stop; comes back by itself when the server does.
export class Live {
  constructor(show) {
    this.show = show;
    this.abort = null;
    this.camera = null;
  }

  watch(camera) {
    this.stop();
    this.camera = camera;
    this.abort = new AbortController();
    this.run(camera, this.abort.signal);
  }

  stop() {
    if (this.abort) this.abort.abort();
    this.abort = null;
  }

  async run(camera, signal) {
    let pause = 500;
    while (!signal.aborted) {
      try {
        const answer = await fetch(`/live?camera=${encodeURIComponent(camera)}`, { signal });
        if (answer.ok) {
          const bytes = new Bytes(answer.body);
          for (;;) {
            await this.one(bytes, signal);
            pause = 500;
          }
        }
      } catch { /* gone; it is tried again below */ }
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(5000, pause * 1.6);
    }
  }

  async one(bytes, signal) {
    const head = await bytes.line();
    const jpeg = await bytes.take(head.jpeg);
    const [rows, columns] = head.heat;
    const cells = await bytes.take(rows * columns);
    const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    if (signal.aborted) return bitmap.close();
    this.show({ bitmap, result: head.result, heat: rows ? { rows, columns, cells } : null });
  }
}
