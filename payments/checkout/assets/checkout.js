"use strict";
// The script of the page. Card details never reach it: the PSP's fields answer with a token.
(() => {
  const sheet = document.getElementById("checkout");
  if (!sheet) return;
  const {base} = sheet.dataset;

  // Where the answer of the server leads: on, to the page in another state, or nowhere yet.
  function follow(told) {
    if (told.go) location.assign(told.go);
    else if (told.state !== sheet.dataset.state) location.replace(base);
    else return false;
    return true;
  }
  async function ask(path, options) {
    const answer = await fetch(base + path, {cache: "no-store", ...options});
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  }

  const send = (path, said) => ask(path, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({...said, attempt: Number(sheet.dataset.attempt)}),
  });

  // --- waiting for a result
  async function poll(seconds) {
    try {
      const told = await ask("/status");
      if (told.state !== sheet.dataset.state && follow(told)) return;
    } catch (error) { /* asked again below: the connection may be gone for a moment */ }
    setTimeout(poll, seconds * 1000, Math.min(seconds * 1.5, Number(sheet.dataset.poll)));
  }
  if ("poll" in sheet.dataset) setTimeout(poll, 700, 1);
  // The browser's "back" shows a kept page: it may be out of date.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // --- paying
  const form = document.getElementById("pay");
  if (!form) return;
  const button = form.querySelector("button"), message = document.getElementById("message");
  const places = Object.fromEntries([...form.querySelectorAll(".fields")].map((place) => [place.dataset.collects, place]));
  const opened = {};
  let busy = false;

  function say(text) {
    message.textContent = text;
    message.hidden = !text;
    if (text) message.scrollIntoView({block: "nearest"});
  }
  function setBusy(now) {
    busy = now;
    button.setAttribute("aria-disabled", now ? "true" : "false");
  }
  const chosen = () => new FormData(form).get("method");

  // --- the fields of the PSP. A driver mounts them: {isLoaded(), mount(place, given)}. What it mounted has
  // token(): a token of the PSP; empty if the customer has to correct something, as the fields say.
  const frameFields = {
    isLoaded: () => true,
    mount(frame) {
      let asked = null;
      const {origin} = frame.dataset;
      addEventListener("message", (event) => {
        if (event.origin !== origin || event.source !== frame.contentWindow || !event.data) return;
        const {kind, id, token, height} = event.data;
        if (kind === "height" && height > 0 && height < 800) frame.style.height = height + "px";
        if (kind === "submit") form.requestSubmit();
        if (!asked || id !== asked.id) return;
        if (kind === "token" && typeof token === "string") asked.done(token);
        if (kind === "refused") asked.done("");
      });
      return {
        token: () => new Promise((done, failed) => {
          asked = {id: crypto.randomUUID ? crypto.randomUUID() : String(Math.random()), done};
          setTimeout(failed, 20000);
          frame.contentWindow.postMessage({kind: "tokenize", id: asked.id}, origin);
        }),
      };
    },
  };

  // The script of the PSP comes once a card is chosen, and again after it did not come.
  function load({script, integrity}) {
    return new Promise((done, failed) => {
      const element = document.createElement("script");
      if (integrity) Object.assign(element, {integrity, crossOrigin: "anonymous"});
      Object.assign(element, {src: script, onload: done, onerror: failed});
      setTimeout(failed, 15000);
      document.head.append(element);
    });
  }
  async function open(place) {
    if (place.dataset.origin) return frameFields.mount(place);
    const driver = window.cardFields;
    if (!driver.isLoaded()) await load(place.dataset);
    // Where the fields return no token but an encrypted card: our server has the PSP make one.
    async function exchange(fields) {
      const told = await send("/exchange", {method: place.dataset.collects, fields});
      if (told.message) say(told.message);
      return told.token;
    }
    return driver.mount(place, {...JSON.parse(place.dataset.given), say, exchange});
  }
  function openFields(method) {
    const place = places[method];
    if (!place || opened[method]) return;
    opened[method] = open(place);
    opened[method].catch(() => { delete opened[method]; say(sheet.dataset.unavailable); });
  }
  // Fields of a script are mounted where they are seen; a frame tells its height at any time.
  for (const [method, place] of Object.entries(places)) if (place.dataset.origin || chosen() === method) openFields(method);

  async function pay() {
    const method = chosen();
    let token = "";
    if (places[method]) {
      openFields(method);
      try {
        token = await (await opened[method]).token();
      } catch (error) { return say(sheet.dataset.failed); }
      if (!token) return undefined;
    }
    let told;
    try {
      const accepted = Boolean(places[method] && "mandate" in places[method].dataset);
      told = await send("/pay", {method, token, mandate_accepted: accepted});
    } catch (error) {
      // The charge may have been made: the page waits for the truth instead of offering a new one.
      say(sheet.dataset.unsure);
      return setTimeout(() => location.replace(base), 3000);
    }
    if (follow(told)) return true;
    sheet.dataset.attempt = told.attempt;
    say(told.message);
    return undefined;
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    say("");
    const leaves = await pay();
    if (!leaves) setBusy(false);
  });
  form.addEventListener("change", (event) => {
    if (event.target.name !== "method") return;
    for (const details of form.querySelectorAll(".details")) details.hidden = details.dataset.of !== event.target.value;
    openFields(event.target.value);
  });
})();
