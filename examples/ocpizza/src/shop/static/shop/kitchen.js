"use strict";
document.querySelector(".kitchen").addEventListener("click", async (event) => {
  const target = event.target.closest("[data-status]");
  if (!target || event.target.tagName !== "BUTTON") return;
  const response = await fetch(target.dataset.status, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ status: event.target.value }),
  });
  if (response.ok) window.location.reload();
  else event.target.after(` ${(await response.json()).error}`);
});
