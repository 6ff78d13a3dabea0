// Keys, selection and live news. Without it the pages work too: every action is a link or a form.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const tell = (text) => { one("#told").textContent = text; };

  // --- rows: one of them is where the keys are ----------------------------------------------------------------------

  let at = null; // the id of that row
  const rows = () => all(".row[data-id]").filter((row) => row.offsetParent !== null);
  const present = () => rows().find((row) => row.dataset.id === at);

  function mark(row, { focus = true } = {}) {
    all(".row.at").forEach((other) => other.classList.remove("at"));
    at = row ? row.dataset.id : null;
    if (!row) return;
    row.classList.add("at");
    row.scrollIntoView({ block: "nearest" });
    if (focus) (one("a.id", row) || row).focus({ preventScroll: true });
  }

  function step(by) {
    const list = rows();
    if (!list.length) return;
    const now = list.findIndex((row) => row.dataset.id === at);
    mark(list[Math.min(Math.max(now < 0 ? (by > 0 ? 0 : list.length - 1) : now + by, 0), list.length - 1)]);
  }

  // --- selection: what is approved is what was on the screen when it was selected -----------------------------------

  const picks = () => all('input[name="member"]');
  const picked = () => picks().filter((box) => box.checked);

  function count() {
    const number = picked().length;
    all("[data-picked]").forEach((place) => { place.textContent = number; });
    all("[data-approve]").forEach((button) => { button.disabled = number === 0; });
    all(".group").forEach((group) => {
      const every = one("[data-all]", group);
      if (!every) return;
      const inside = all('input[name="member"]', group);
      const chosen = inside.filter((box) => box.checked).length;
      every.checked = inside.length > 0 && chosen === inside.length;
      every.indeterminate = chosen > 0 && chosen < inside.length;
    });
  }

  let kept = null; // what was selected, folded and focused before the queue was put in anew

  function keep() {
    const folded = all(".group:not([open])").map((group) => group.dataset.group);
    const inRows = document.activeElement && document.activeElement.closest(".row");
    kept = { chosen: new Map(picked().map((box) => [box.value.split(":")[0], box.value])), folded, focus: Boolean(inRows), shown: new Set(rows().map((row) => row.dataset.id)) };
  }

  function restore() {
    all("label.all").forEach((label) => { label.hidden = false; });
    if (kept) {
      const lost = [];
      const boxes = new Map(picks().map((box) => [box.value.split(":")[0], box]));
      for (const [id, value] of kept.chosen) {
        const box = boxes.get(id);
        if (box && box.value === value) box.checked = true;
        else lost.push(`${id} ${document.getElementById(`row-${id}`) ? "changed" : "is no longer shown"}`);
      }
      for (const group of all(".group")) if (kept.folded.includes(group.dataset.group)) group.open = false;
      if (lost.length) news(`No longer selected: ${lost.join(", ")}.`);
      if (at) {
        const row = present();
        if (row) mark(row, { focus: kept.focus });
      }
      kept = null;
    }
    count();
  }

  document.addEventListener("htmx:beforeSwap", (event) => { if (one("#queue")) keep(); });
  document.addEventListener("htmx:afterSwap", () => { restore(); standing(); }); // at once: a key may come before it settles
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("[data-all]")) {
      all('input[name="member"]', box.closest(".group")).forEach((other) => { other.checked = box.checked; });
    }
    if (box.matches("[data-submits]")) box.form.requestSubmit();
    count();
  });

  // --- an order that moved on while it was open ---------------------------------------------------------------------

  function standing() {
    const place = one("#standing[data-moved=yes]");
    const fields = one("#decide fieldset");
    if (!place || !fields) return;
    if (place.dataset.state !== "submitted") {
      fields.disabled = true;
      tell(place.textContent.trim());
    }
  }

  // --- news ---------------------------------------------------------------------------------------------------------

  function news(text) {
    const place = one("#offline");
    place.textContent = text;
    place.hidden = !text;
  }

  let stream = null;
  let fallback = 0;

  function moved(orders) {
    const open = one("#order");
    if (open && orders && !orders.includes(open.dataset.order)) return;
    htmx.trigger(document.body, "docket:moved");
  }

  function listen() {
    if (stream || document.hidden || !window.EventSource || !one("header.top")) return;
    stream = new EventSource(`/live?${document.body.dataset.since}`);
    stream.addEventListener("open", () => { document.body.dataset.live = "yes"; });
    stream.addEventListener("moved", (event) => {
      const news = JSON.parse(event.data);
      document.body.dataset.since = news.since;
      if (news.orders.length || one("#queue")) moved(news.orders.length || one("#order") ? news.orders : null);
    });
    stream.addEventListener("signed-out", signedOut);
    stream.onerror = () => {
      if (stream && stream.readyState === EventSource.CLOSED) {
        quiet();
        ask();
      }
    };
  }

  function quiet() {
    if (stream) stream.close();
    stream = null;
    delete document.body.dataset.live;
  }

  // Where no stream is to be had, look now and then.
  function ask() {
    fetch("/live", { method: "HEAD" }).then((answer) => {
      if (answer.status === 401) signedOut();
      else fallback ||= setInterval(() => moved(null), 15000);
    }, () => { setTimeout(listen, 5000); });
  }

  function signedOut() {
    quiet();
    const place = one("#offline");
    news("You are signed out. What you typed is still here; nothing was sent. ");
    const link = document.createElement("a");
    link.href = `/signin?over&to=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "Sign in";
    place.append(link);
  }

  document.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status === 401) signedOut(); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return quiet();
    moved(null);
    listen();
  });

  // --- forms: one press, one answer ---------------------------------------------------------------------------------

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) return event.preventDefault();
    if (form.dataset.busy) {
      form.dataset.sent = "yes";
      tell(form.dataset.busy);
      setTimeout(() => all("button", form).forEach((button) => { button.disabled = true; }), 0);
    }
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // --- keys ---------------------------------------------------------------------------------------------------------

  let first = ""; // "g", until the second key of a pair
  const writes = (place) => place.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");

  function press(selector) {
    const button = one(selector);
    if (!button || button.matches(":disabled")) return;
    if (document.activeElement === button) button.click();
    else {
      all(".armed").forEach((other) => other.classList.remove("armed"));
      button.classList.add("armed");
      button.focus();
      tell(`${button.textContent.trim()}: press again, or Enter`);
    }
  }

  // A refusal needs a reason, so its key leads to the field first.
  function refuse(selector) {
    const reason = one("#reason");
    if (reason && !reason.value.trim() && !all('textarea[name^="reason."]').some((field) => field.value.trim())) reason.focus();
    else press(selector);
  }

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    x: () => { const box = present() && one('input[name="member"]', present()); if (box) { box.checked = !box.checked; count(); } },
    a: () => press(one("#batch") ? "#batch [data-approve]" : '#decide [data-key="a"]'),
    w: () => refuse('#decide [data-key="w"]'),
    r: () => refuse('#decide [data-key="r"]'),
    n: () => { const link = one("[data-next]"); if (link) link.click(); },
    u: () => {
      const undo = one("[data-undo]");
      if (undo) undo.focus();
      picks().forEach((box) => { box.checked = false; });
      count();
    },
    "/": () => { const field = one("#q"); if (field) { field.focus(); field.select(); } },
    "?": () => one("#help").showModal(),
    g: () => { first = "g"; setTimeout(() => { first = ""; }, 1500); },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const place = event.target;
    if (event.key === "Escape") {
      if (writes(place)) place.blur();
      all(".armed").forEach((other) => other.classList.remove("armed"));
      return;
    }
    if (writes(place) || one("dialog[open]")) return;
    if (first === "g") {
      first = "";
      const link = one(`nav [data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    if (event.key === "Enter" && present() && place === document.body) {
      const link = one("a.id", present());
      if (link) link.click();
      return;
    }
    const act = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
    if (act) { event.preventDefault(); act(); }
  });
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest(".row[data-id]");
    if (row && row.dataset.id !== at) mark(row, { focus: false });
    if (!event.target.classList.contains("armed")) all(".armed").forEach((other) => other.classList.remove("armed"));
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) one("#help").showModal();
    if (event.target.closest("[data-none]")) keys.u();
  });

  restore();
  const focus = one("[data-focus]");
  if (focus) focus.focus();
  listen();
})();
