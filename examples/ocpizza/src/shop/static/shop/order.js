"use strict";
const form = document.getElementById("order");
const answer = form.querySelector("output");
let key = null;

// randomUUID exists on pages served by HTTPS only.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// A changed order is another order; the same one sent again keeps its key.
form.addEventListener("input", () => { key = null; });

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const data = new FormData(form);
  const lines = [];
  for (const [name, value] of data) {
    if (/^\d+$/.test(name) && Number(value) > 0) lines.push({ pizza: Number(name), quantity: Number(value) });
  }
  if (!lines.length) {
    answer.textContent = "Choose at least one pizza.";
    return;
  }
  key = key || newKey();
  const body = {
    customer: { name: data.get("name"), phone: data.get("phone") },
    pizzeria: Number(data.get("pizzeria")),
    note: data.get("note"),
    lines,
  };
  answer.textContent = "Sending…";
  try {
    const response = await fetch("/api/orders", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify(body),
    });
    const result = await response.json();
    if (response.ok) window.location = `/orders/${result.key}/`;
    else answer.textContent = result.error;
  } catch {
    answer.textContent = "No answer. Press Order again: it will not be placed twice.";
  }
});
