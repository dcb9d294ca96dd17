// What the page says when there is no picture, or no fresh one: in the bar, in
// the middle, and to screen readers.
export class Notice {
  #root;
  #picture;

  constructor({ root, picture }) {
    this.#root = root;
    this.#picture = picture;
  }

  #part(name) { return this.#root.querySelector(`[data-console-${name}]`); }

  // #say tells the state of the connection in words, read out by screen readers.
  #say(text, tone) {
    const status = this.#part("status");
    if (status.textContent !== text) status.textContent = text;
    status.dataset.tone = tone;
    this.#root.dataset.connection = tone;
  }

  #spin(on) { this.#part("busy").hidden = !on || this.#picture.kept; }

  #middle(on) { this.#part("notice").hidden = !on; }

  // busy: a picture is on its way. What stands in the middle stays until it
  // comes: it would flicker at each try.
  busy(text) {
    this.#say(text, "busy");
    this.#spin(this.#part("notice").hidden);
    this.#off(false);
  }

  clear(text) {
    this.#middle(false);
    this.#spin(false);
    this.#off(false);
    this.#say(text, "good");
  }

  trying(ms, long) {
    if (!long) {
      this.#say("Connection lost. Reconnecting…", "busy");
      return;
    }
    const seconds = Math.max(1, Math.round(ms / 1000));
    this.show({ title: "Connection lost", text: `Trying again by itself until it works, next in ${seconds} s.`, offers: ["reconnect", "machine"], icon: "lost" });
  }

  // off: what stands in the middle comes from the portal.
  off() {
    this.#middle(false);
    this.#spin(false);
    this.#off(true);
    this.#say("No screen", "idle");
  }

  #off(on) { this.#root.querySelector('[data-console-part="off"]').hidden = !on; }

  show({ title, text, offers, icon }) {
    this.#off(false);
    const heading = this.#part("title");
    const fresh = this.#part("notice").hidden || heading.textContent !== title;
    heading.textContent = title;
    this.#part("text").textContent = text;
    for (const offer of this.#root.querySelectorAll("[data-console-offer]")) offer.hidden = !offers.includes(offer.dataset.consoleOffer);
    for (const mark of this.#root.querySelectorAll("[data-console-mark]")) mark.hidden = mark.dataset.consoleMark !== icon;
    this.#middle(true);
    this.#spin(false);
    this.#say(`${title}.`, "bad");
    // The keyboard was on the screen, which is gone; on a button, the user's
    // typing might press it.
    if (fresh && !this.#root.querySelector("dialog[open]")) heading.focus();
  }
}
