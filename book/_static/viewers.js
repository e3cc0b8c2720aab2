// Viewers load when the reader comes near: tools/book_loading.py has put their scripts into files.
{
  const folder = document.documentElement.dataset.content_root + "_static/viewers/";
  const load = (root) => {
    const files = root.dataset.loads.split(" ");
    root.removeAttribute("data-loads");
    root.dataset.due = files.at(-1);
    // Drawn, which may take a frame and a task, or its twin is there to be read.
    const show = () => root.removeAttribute("data-first");
    for (const file of files) {
      const script = Object.assign(document.createElement("script"), { src: `${folder}${file}.js`, async: false });
      script.onerror = show;
      if (file === root.dataset.due) script.onload = () => requestAnimationFrame(() => setTimeout(() => setTimeout(show)));
      document.head.append(script);
    }
  };
  // What is read comes first: a script that is asked for earlier would keep a phone from painting.
  const afterPaint = (task) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(task)));
  const waiting = () => [...document.querySelectorAll("[data-loads]")];
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries)
        if (isIntersecting) {
          seen.unobserve(target);
          afterPaint(() => target.matches("[data-loads]") && load(target));
        }
    },
    { rootMargin: "100% 0px" },
  );
  waiting().forEach((root) => seen.observe(root));
  // What looks at the whole page, such as the printing of the book, asks for all at once.
  document.addEventListener("load-viewers", () => waiting().forEach(load));
}
