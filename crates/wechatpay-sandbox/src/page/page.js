// Fetches the page again every two seconds and puts its sections in place of the old ones. What is open stays open, what
// is closed stays closed, and nothing moves while a field is being filled in.
"use strict";
{
  const opened = new Map();
  document.addEventListener("toggle", (event) => {
    if (event.target.id) opened.set(event.target.id, event.target.open);
  }, true);

  const refresh = async () => {
    const at = document.activeElement;
    if (document.hidden || (at && at.matches("input, select, button"))) return;
    if (!getSelection().isCollapsed) return;
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const section of fresh.querySelectorAll("main > section")) {
      for (const details of section.querySelectorAll("details")) {
        if (opened.has(details.id)) details.open = opened.get(details.id);
      }
      const old = document.getElementById(section.id);
      if (old && old.innerHTML !== section.innerHTML) old.replaceWith(document.adoptNode(section));
    }
  };
  // A sandbox that has ended answers nothing; the page then stays as it is.
  setInterval(() => refresh().catch(() => {}), 2000);
}
