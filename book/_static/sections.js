// A phone lays out what it shows first, and the sections below one by one, whenever it has nothing else to do.
{
  const root = document.documentElement;
  const whole = () => (root.dataset.whole = ""); // book/_static/custom.css: nothing is left out
  const idle = window.requestIdleCallback ?? ((task) => setTimeout(task, 50));
  const waiting = [...document.querySelectorAll(".bd-article section section")];
  const next = () => {
    const section = waiting.shift();
    if (section) section.style.contentVisibility = "visible";
    if (waiting.length) idle(next);
  };
  idle(next);
  // A link into the page has to know where everything is; so does what looks at the whole page.
  addEventListener("click", ({ target }) => target.closest?.("a[href*='#']") && whole(), true);
  document.addEventListener("load-viewers", whole);
}
