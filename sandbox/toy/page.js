"use strict";

const user = document.body.dataset.user;
const answers = document.getElementById("answers");

document.getElementById("another").href = `/?user=user-${Math.random().toString(36).slice(2, 8)}`;

// Buttons that lead nowhere else do their work without leaving the page.
for (const form of document.querySelectorAll("form[data-quiet]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual" });
    } finally {
      button.disabled = false;
    }
  });
}

function put(element, text, name) {
  if (element.textContent !== text) element.textContent = text;
  if (name !== undefined && element.className !== name) element.className = name;
}

function age(milliseconds) {
  return milliseconds < 10000 ? `${milliseconds} ms` : `${Math.round(milliseconds / 1000)} s`;
}

function row(index) {
  while (answers.rows.length <= index) {
    const added = answers.insertRow();
    for (let cell = 0; cell < 7; cell += 1) added.insertCell();
  }
  return answers.rows[index].cells;
}

function showAnswer(one, index) {
  const cells = row(index);
  put(cells[0], one.app);
  put(cells[1], one.label);
  if (one.error) {
    put(cells[2], "no answer", "denied");
    put(cells[3], one.error);
    for (const cell of [4, 5, 6]) put(cells[cell], "");
    return;
  }
  const answer = one.answer;
  put(cells[2], answer.allowed ? "allowed" : "denied", answer.allowed ? "allowed" : "denied");
  put(cells[3], answer.reason);
  put(cells[4], `${answer.epoch}.${answer.revision}`);
  put(cells[5], age(answer.age_ms) + (answer.stale ? ", stale" : ""), answer.stale ? "stale" : "");
  put(cells[6], `${one.took_ms.toFixed(1)} ms`);
  showCard(one.feature, answer);
}

function showCard(feature, answer) {
  const card = document.querySelector(`[data-feature="${feature}"]`);
  if (!card) return;
  put(card.querySelector(".mark"), answer.allowed ? "\u2713" : "\u2715");
  put(card.querySelector(".word"), answer.allowed ? "unlocked" : "locked", answer.allowed ? "word allowed" : "word denied");
  const until = answer.valid_to === null ? "for life" : `until ${answer.valid_to}`;
  put(card.querySelector(".why"), answer.allowed ? `by ${answer.source}, ${until}` : answer.reason.replaceAll("_", " "));
}

function showChange(change) {
  if (!change) return;
  const timed = change.milliseconds !== null;
  const what = `${change.feature} became ${change.allowed ? "allowed" : "denied"} at revision ${change.revision}`;
  put(document.getElementById("milliseconds"), timed ? `${change.milliseconds.toFixed(1)} ms` : "\u2013");
  put(document.getElementById("latency"), timed ? `from webhook to changed answer: ${what}` : `${what}, by the clock`);
}

function showParts(parts) {
  document.getElementById("outage").closest("section").hidden = Object.keys(parts).length === 0;
  for (const [name, running] of Object.entries(parts)) {
    const part = document.querySelector(`[data-part="${name}"]`);
    put(part.querySelector(".word"), running ? "is running" : "is down", running ? "word allowed" : "word denied");
  }
}

const events = new EventSource(`/events?user=${encodeURIComponent(user)}`);
events.onmessage = (event) => {
  const state = JSON.parse(event.data);
  state.answers.forEach(showAnswer);
  showChange(state.change);
  showParts(state.parts);
  put(document.getElementById("notice"), state.notice);
};
events.onerror = () => put(document.getElementById("notice"), "The toy app has ended.");
