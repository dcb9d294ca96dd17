// Types a planned text at a steady rate. Guests keep few keys in hand: what
// comes faster than they read is lost, so the rate is the user's choice, and
// keys that have not left the browser yet are waited for.
const BEAT_MS = 20;

export const RATES = { slow: 10, normal: 40, fast: 120 }; // characters a second

// sendText resolves to how many characters were typed: all of them, or fewer
// when signal or ready ended it. write(strokes) types one character; ready()
// is "yes", "wait" or "no".
export async function sendText({ chars, perSecond, write, ready, progress, signal, pause = (ms) => new Promise((done) => setTimeout(done, ms)), now = () => performance.now() }) {
  let done = 0;
  let owed = 1; // characters that the rate allows by now
  let last = now();
  while (done < chars.length) {
    const may = signal.aborted ? "no" : ready();
    if (may === "no") break;
    if (may === "yes") {
      for (; owed >= 1 && done < chars.length; owed--) write(chars[done++]);
      progress(done);
    }
    if (done === chars.length) break;
    await pause(BEAT_MS);
    const at = now();
    // A tab in the background is woken seldom: it must not make up for that
    // in one burst.
    owed = Math.min(owed + ((at - last) * perSecond) / 1000, Math.max(1, perSecond / 8));
    last = at;
  }
  return done;
}
