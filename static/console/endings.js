// Why there is no picture: in words, and what then helps.

// Close codes after which a fresh ticket is all it takes. 4401: ours came too
// late, behind a slow network. 4502: the host is being restarted, or the
// machine is on its way to another. 4423: somebody was quicker; the next
// ticket's answer says who.
const COMES_BACK = new Set([1000, 1001, 1005, 1006, 1011, 1012, 1013, 4401, 4423, 4502, 4503]);

export const OFF = 4409;
export const FORBIDDEN = 4403;
export const TOO_MANY = 4429;

export const comesBack = (code) => COMES_BACK.has(code);

const GONE = { title: "The machine is gone", text: "It was deleted, or taken out of its cloud. The history says by whom.", offers: ["history", "machines"], icon: "gone" };
const CROWDED = { title: "Too many consoles are open", text: "This goes on by itself as soon as one of them is closed.", offers: ["reconnect", "machine"], icon: "wait" };
const BROKEN = { title: "The screen was closed", text: "Something on the way did not understand the picture.", offers: ["reconnect", "machine"], icon: "lost" };

// endingOf is for a socket that won't come back. told is the last notice that
// came over it: it names people.
export function endingOf(code, told = {}) {
  switch (code) {
    case 4404:
      return { ...GONE, text: told.text || GONE.text };
    case 4408:
      return { title: told.by ? `${told.by} took over this console` : "Somebody took over this console",
        text: "Your keys don't reach the machine any more. You may watch, or take it back.", offers: ["watch", "take-over", "machine"], icon: "person" };
    case 4410:
      return { title: told.by ? `${told.by} closed this console` : "An admin closed this console",
        text: "Ask before you open it again.", offers: ["reconnect", "machine"], icon: "person" };
    case FORBIDDEN:
      return { title: "You may not use this console any more", text: told.text || "You were signed out, or your role was changed.", offers: ["sign-in", "machines"], icon: "lock" };
    case TOO_MANY:
      return CROWDED;
    default:
      return BROKEN;
  }
}

export const broken = () => BROKEN;

// refusalOf is for what the portal answers in place of a ticket; null for what
// is worth another try. sentence is the portal's own, reason its word for
// programs.
export function refusalOf(status, sentence = "", reason = "") {
  switch (status) {
    case 401:
      return { title: "You are signed out", text: "Sign in again to go on where you were.", offers: ["sign-in"], icon: "lock" };
    case 403:
      if (reason === "org_suspended") return { title: "This org is suspended", text: sentence, offers: ["reconnect", "orgs"], icon: "lock" };
      return { title: "You may not use this console any more", text: sentence || "Your role in this org does not open consoles.", offers: ["machine", "machines"], icon: "lock" };
    case 404:
      return GONE;
    case 429:
      return sentence ? { ...CROWDED, title: "Not just now", text: sentence } : CROWDED;
    default:
      return null;
  }
}

// retryDelay is how long to wait before the n-th try in a row. The first are at
// once: a portal that went down is replaced already, and what failed first may
// have been a request that the browser sent on the dead one's connection. All
// pages of a dead node must not come in the same moment, hence the jitter.
const FIRST_MS = [40, 60, 120];

export function retryDelay(tries, random = Math.random) {
  const most = FIRST_MS[Math.max(tries, 1) - 1] ?? Math.min(10_000, 100 * 2 ** (tries - 2));
  return most * (0.5 + random() / 2);
}
