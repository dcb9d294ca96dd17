// How the picture is shown: its size, its quality, its last frame, and what
// can be taken of it.
const QUALITY = { // of JPEG, and of compression, 0 to 9
  sharp: { quality: 9, compression: 1 },
  balanced: { quality: 6, compression: 2 },
  frugal: { quality: 1, compression: 9 },
};

export class Picture {
  #view;
  #screen;
  #last;
  #scaling = "fit";

  constructor({ view, screen, last }) {
    this.#view = view;
    this.#screen = screen;
    this.#last = last;
    // The window may change while there is nothing but the last frame.
    new ResizeObserver(() => this.#replace()).observe(view);
  }

  get canvas() { return this.#screen.querySelector("canvas"); }
  get shown() { return Boolean(this.canvas?.width); }
  get kept() { return !this.#last.hidden; }

  // apply shows the client's picture as the settings say.
  apply(client, { scaling, quality }) {
    this.#scaling = scaling;
    client.background = "transparent";
    client.clipViewport = scaling === "drag";
    client.dragViewport = scaling === "drag";
    client.scaleViewport = scaling === "fit";
    client.qualityLevel = QUALITY[quality].quality;
    client.compressionLevel = QUALITY[quality].compression;
  }

  // keep copies the picture, which noVNC takes away with its canvas, and greys
  // it: what it shows is not so any more.
  keep() {
    const { canvas } = this;
    if (!canvas?.width || !canvas.height) return;
    const at = canvas.getBoundingClientRect();
    const frame = this.#view.getBoundingClientRect();
    this.#last.width = canvas.width;
    this.#last.height = canvas.height;
    this.#last.getContext("2d").drawImage(canvas, 0, 0);
    this.#put({ left: at.left - frame.left, top: at.top - frame.top, width: at.width, height: at.height });
    this.#last.hidden = false;
  }

  // #replace puts the last frame where the picture would be in a view of
  // another size: fitted, or at its size and as far within as it goes.
  #replace() {
    if (!this.kept) return;
    const { clientWidth: across, clientHeight: down } = this.#view;
    const { width: columns, height: rows, style } = this.#last;
    let [width, height] = [parseFloat(style.width), parseFloat(style.height)];
    if (this.#scaling === "fit") {
      const scale = Math.min(across / columns, down / rows);
      [width, height] = [columns * scale, rows * scale];
    }
    const within = (at, size, room) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at)));
    this.#put({ width, height, left: within(parseFloat(style.left), width, across), top: within(parseFloat(style.top), height, down) });
  }

  #put(place) {
    for (const [side, pixels] of Object.entries(place)) this.#last.style[side] = `${pixels}px`;
  }

  // forget takes the last frame away: a new one is there, or never will be.
  forget() { this.#last.hidden = true; }

  // png is the picture at the machine's own resolution.
  png() {
    const source = this.shown ? this.canvas : this.#last;
    return new Promise((done) => source.toBlob(done, "image/png"));
  }
}

// download hands a file to the browser. name is made of a machine's name,
// which has no characters that a file name can't.
export async function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has taken hold of it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function screenshotName(machine, at = new Date()) {
  const two = (n) => String(n).padStart(2, "0");
  const day = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  return `${machine}-${day}-${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}.png`;
}

// toggleFullScreen takes the whole page along, bar and messages included. With
// the lock, Esc, Alt-Tab and the like go to the machine as well; holding Esc
// leaves. Only some browsers have it.
export async function toggleFullScreen() {
  if (document.fullscreenElement) {
    await document.exitFullscreen();
    return;
  }
  await document.documentElement.requestFullscreen({ navigationUI: "hide" });
  await navigator.keyboard?.lock?.().catch(() => {});
}
