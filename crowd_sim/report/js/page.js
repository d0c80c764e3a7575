"use strict";
// The page itself: its buttons, and what is drawn first.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = id(button.dataset.copy).textContent.trim();
    try { await navigator.clipboard.writeText(text); } catch { // a page from a file may not write there
      const area = make("textarea"); area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
    }
    const before = button.textContent;
    button.textContent = "copied";
    setTimeout(() => { button.textContent = before; }, 1200);
  });
}
for (const button of document.querySelectorAll("button[data-print]")) button.addEventListener("click", () => print());
const texts = id("sought");
if (texts) texts.addEventListener("input", () => {
  const sought = texts.value.toLowerCase();
  for (const row of document.querySelectorAll(".outputs tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(sought);
});
document.documentElement.classList.add("live");
DRAWN[data.kind]?.();
charts.forEach((again) => again());
