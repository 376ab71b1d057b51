"use strict";
// Puts what the server sends into its place, and says when nothing comes any more.
const SILENCE = 12000; // milliseconds: more than two of the server's beats (results/watch/service.py)
const PATIENCE = 5000; // from one attempt to the next, where the browser makes none itself
const REACHED = "a[href], summary, [tabindex]";
const connection = document.getElementById("connection");
const shown = new Map();
let heard = Date.now();
let tried = 0;
let source = null;

function clock(time) {
  return new Date(time).toLocaleTimeString();
}

function say(text, wrong) {
  if (connection.textContent !== text) connection.textContent = text;
  connection.className = wrong ? "none alert" : "eyebrow";
}

function put(id, html) {
  const place = document.getElementById(id);
  if (!place || shown.get(id) === html) return;
  // What a reader has opened stays open, and what had the focus keeps it.
  const open = [...place.querySelectorAll("details")].map((one) => one.open);
  const focus = [...place.querySelectorAll(REACHED)].indexOf(document.activeElement);
  place.innerHTML = html;
  place.querySelectorAll("details").forEach((one, i) => { one.open = Boolean(open[i]); });
  if (focus >= 0) place.querySelectorAll(REACHED)[focus]?.focus({ preventScroll: true });
  shown.set(id, html);
  if (id === "name") document.title = `${place.textContent.trim()}: live`;
}

function left(seconds) {
  if (seconds <= 0) return "now";
  const h = Math.floor(seconds / 3600), m = Math.floor(seconds / 60) % 60, s = seconds % 60;
  return h ? `${h} h ${m} min` : m ? `${m} min ${s} s` : `${s} s`;
}

function tick() {
  for (const one of document.querySelectorAll("time[data-left]")) {
    const text = left(Math.round((Date.parse(one.dateTime) - Date.now()) / 1000));
    if (one.textContent !== text) one.textContent = text;
  }
  if (source.readyState === EventSource.CLOSED || Date.now() - heard > SILENCE) lost();
}

function lost() {
  say(`Connection lost at ${clock(heard)}: what follows is of then. Trying again …`, true);
  if (Date.now() - tried > PATIENCE) connect();
}

function connect() {
  if (source) source.close();
  tried = Date.now();
  source = new EventSource(`events${location.search}`);
  source.onerror = lost;
  source.addEventListener("parts", (event) => {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) put(id, html);
    beat();
    tick();
  });
  source.addEventListener("beat", beat);
}

function beat() {
  heard = Date.now();
  say("Live: the page follows the run.", false);
}

connect();
tick();
setInterval(tick, 1000);
