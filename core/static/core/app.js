/* All the script that is ours. Every page works without it: dialogs have a page of their own at the link's address. */
const root = document.documentElement;

// The switches in the foot. look.js has applied what they remember; the profile renders the rest on <html>.
for (const key of ["theme", "density"]) {
  const buttons = [...document.querySelectorAll(`button[data-set-${key}]`)];
  const value = button => button.getAttribute(`data-set-${key}`);
  const show = () => buttons.forEach(b => b.setAttribute("aria-pressed", (root.dataset[key] || value(buttons[0])) === value(b)));
  buttons.forEach(b => b.addEventListener("click", () => {
    root.dataset[key] = value(b);
    try { localStorage.setItem(key, value(b)); } catch { /* storage is off */ }
    show();
  }));
  show();
}

document.addEventListener("click", event => {
  const opener = event.target.closest("[data-dialog]");
  const dialog = opener && document.getElementById(opener.dataset.dialog);
  if (dialog) {
    event.preventDefault();
    const slot = dialog.querySelector("[data-name]");
    if (slot) slot.textContent = opener.dataset.name || slot.textContent;
    // One dialog serves many openers: its form posts to where the link would have led.
    const form = dialog.querySelector("form[data-action]");
    if (form && opener.href) form.action = opener.href;
    dialog.showModal();
  }
  if (event.target.closest("[data-close]")) event.target.closest("dialog, .toast")?.[event.target.closest("dialog") ? "close" : "remove"]();
  // A menu closes when something else is touched.
  document.querySelectorAll("details.menu[open]").forEach(menu => { if (!menu.contains(event.target)) menu.open = false; });
});

document.addEventListener("keydown", event => {
  if (event.key !== "Escape") return;
  document.querySelectorAll("details.menu[open]").forEach(menu => { menu.open = false; menu.querySelector("summary").focus(); });
});

document.addEventListener("change", event => {
  if (event.target.matches("[data-all]"))
    event.target.closest("form").querySelectorAll("tbody input[type=checkbox]").forEach(box => { box.checked = event.target.checked; });
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// What is copied with a click; browsers allow it where the page came by TLS or from this machine.
document.querySelectorAll("[data-copy]").forEach(button => {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = "Copied";
  });
});

// A form that came back: the first wrong field gets the focus.
document.querySelector("main [aria-invalid=true]")?.focus();

// Toasts stay for eight seconds, and as long as somebody points at them or has the focus in them.
const LINGER = 8000;
const leave = toast => setTimeout(() => toast.matches(":hover, :focus-within") ? leave(toast) : toast.remove(), LINGER);
const toasts = document.getElementById("toasts");
if (toasts) {
  [...toasts.children].forEach(leave);
  new MutationObserver(changes => changes.forEach(change => change.addedNodes.forEach(node => { if (node.nodeType === 1) leave(node); })))
    .observe(toasts, { childList: true });
}

// A picture that does not come: what is sent instead says why.
document.querySelectorAll("img[data-why]").forEach(img => {
  const why = async () => {
    const answer = await fetch(img.src);
    const said = document.createElement("p");
    said.textContent = answer.ok ? img.alt : await answer.text();
    img.replaceWith(said);
  };
  // When the one that came was taken stands in the head of the answer.
  const taken = async () => {
    const [slot, answer] = [document.querySelector("[data-taken]"), await fetch(img.src, { method: "HEAD" })];
    const at = answer.ok && answer.headers.get("Last-Modified");
    if (!slot || !at) return;
    const clock = new Date(at).toLocaleTimeString(root.lang, { hour12: false, timeZone: slot.dataset.zone });
    slot.textContent = `${slot.dataset.taken} ${clock}`;
  };
  if (img.complete && !img.naturalWidth) why(); else if (img.complete) taken();
  else { img.addEventListener("error", why, { once: true }); img.addEventListener("load", taken, { once: true }); }
});

// A second click of the same button sends nothing more; after three seconds it is a new one.
document.addEventListener("submit", event => {
  const form = event.target, pressed = event.submitter || form;
  if (event.defaultPrevented || form.method === "get" || form.method === "dialog") return;
  if (pressed.dataset.sent !== undefined) return event.preventDefault();
  pressed.dataset.sent = "";
  setTimeout(() => { delete pressed.dataset.sent; }, 3000);
});

// Live parts: after two misses the page says that it has lost the portal, and what acts is disabled until it is back.
const live = document.getElementById("live");
let misses = 0;
const lost = yes => {
  if (yes === root.hasAttribute("data-lost")) return;
  root.toggleAttribute("data-lost", yes);
  live?.toggleAttribute("data-lost", yes);
  document.querySelectorAll("[data-acts]").forEach(button => { button.disabled = yes; });
  document.getElementById("lost")?.toggleAttribute("hidden", !yes);
  if (live) live.textContent = yes ? `Lost contact · ${live.dataset.at}` : `Live ${live.dataset.at}`;
};
const polled = event => event.target.closest?.("[data-live]") && event.detail.requestConfig?.verb === "get";
// Who is in the middle of a question is not interrupted: the answer might change the page under it.
// Nor by an answer that was on its way when the question was opened.
for (const moment of ["htmx:beforeRequest", "htmx:beforeOnLoad"])
  document.addEventListener(moment, event => {
    if (polled(event) && document.querySelector("dialog[open]")) event.preventDefault();
  });
document.addEventListener("htmx:afterRequest", event => {
  const status = event.detail.xhr.status;
  if (!polled(event)) {
    // What somebody pressed has not arrived: a page that is older than its session is loaded anew.
    if (status >= 400 && status < 500) location.reload();
    else if (!(status >= 200 && status < 400)) lost(true);
    return;
  }
  if (status >= 200 && status < 400) {
    misses = 0;
    if (live) live.dataset.at = new Date().toLocaleTimeString(root.lang, { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: live.dataset.zone });
    if (live && !root.hasAttribute("data-lost")) live.textContent = `Live ${live.dataset.at}`;
    lost(false);
  } else if (++misses >= 2) lost(true);
});
// An update leaves open what somebody has opened.
if (window.Idiomorph)
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !(name === "open" && element.matches("details"));
