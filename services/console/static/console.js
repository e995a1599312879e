// Keeps a page live: takes changed panels from the server, patches only what differs, and says what matters aloud.

const root = document.documentElement;
const says = document.getElementById("says");
const ANNOUNCED = { alerts: "New alert", anomalies: "New anomaly" };

/** Make `old` like `fresh` node by node, so that focus, scrolling and selection survive. */
function patch(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || keyOf(old) !== keyOf(fresh)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) {
      old.data = fresh.data;
      flash(old.parentElement);
    }
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  for (const { name } of [...old.attributes]) if (name !== "class" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  patchChildren(old, fresh);
}

function patchChildren(old, fresh) {
  const keyed = new Map([...old.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = keyOf(wanted) && keyed.get(keyOf(wanted));
    if (known && known !== at) old.insertBefore(known, at);
    const target = known || (at && !keyOf(at) ? at : null);
    if (target) {
      at = target.nextSibling;
      patch(target, wanted);
    } else {
      old.insertBefore(wanted, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);

/** Let a changed figure light up for a moment. */
function flash(element) {
  if (!element?.classList.contains("n")) return;
  element.classList.remove("changed");
  requestAnimationFrame(() => element.classList.add("changed"));
}

function update(name, html, first) {
  const panel = document.getElementById(`panel-${name}`);
  if (!panel || html === null) return;
  const newest = () => panel.querySelector(".feed li")?.getAttribute("data-key");
  const before = newest();
  const fresh = document.createElement("section");
  fresh.innerHTML = html;
  patchChildren(panel, fresh);
  if (!first && name in ANNOUNCED && newest() !== before) {
    says.textContent = `${ANNOUNCED[name]}: ${panel.querySelector(".feed li .what")?.textContent.trim()}`;
  }
}

function follow(address) {
  const link = document.getElementById("link");
  const text = document.getElementById("link-text");
  const tell = (state, words) => {
    if (link.dataset.state === state) return;
    if (link.dataset.state !== "waiting" || state === "away") says.textContent = words === "live" ? "Figures are live." : "Figures are not live: connecting again.";
    link.dataset.state = state;
    text.textContent = words;
  };
  let first = true;
  const source = new EventSource(address);
  source.addEventListener("panels", (event) => {
    tell("live", "live");
    for (const [name, html] of Object.entries(JSON.parse(event.data))) update(name, html, first);
    first = false;
  });
  source.addEventListener("error", () => {
    tell("away", "not live");
    first = true;
    // Closed for good: the session is over, or the server turned us down. Ask for the page again, a little later.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

function themes(button) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.setAttribute("aria-label", "Dark theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    document.cookie = `spendgate_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
    show();
  });
  dark.addEventListener("change", show);
  show();
}

themes(document.getElementById("theme"));
if (document.body.dataset.live) follow(document.body.dataset.live);
