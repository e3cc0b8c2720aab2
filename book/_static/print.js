// On paper everything is open and light; afterwards all is as it was.
{
  const root = document.documentElement;
  let closed = [], theme = "light";
  addEventListener("beforeprint", () => {
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    closed = [...document.querySelectorAll(".bd-article details:not([open])")];
    closed.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => {
    root.dataset.theme = theme;
    closed.forEach((details) => (details.open = false));
  });
}
