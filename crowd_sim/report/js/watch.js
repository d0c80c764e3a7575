"use strict";
// Of a page that `crowd-sim watch` serves: says how far it is, and loads the page again when there is more to show.
{
  const bar = id("live"), said = id("live-said"), pause = id("live-pause");
  let paused = false, seen = bar.dataset.version;
  const hold = (yes) => { paused = yes; pause.textContent = yes ? "follow" : "hold"; };
  pause.addEventListener("click", () => hold(!paused));
  // who sorts, filters or chooses is not to lose it
  for (const kind of ["input", "click"]) document.querySelector("main").addEventListener(kind, () => hold(true));
  const look = async () => {
    try {
      const found = await (await fetch("status", { cache: "no-store" })).json();
      said.textContent = found.said.join(" · ");
      if (found.version !== seen && !paused) location.reload();
    } catch { said.textContent = "crowd-sim watch has ended"; }
  };
  setInterval(look, Number(bar.dataset.every) * 1000);
}
