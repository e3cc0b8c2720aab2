// The letters of the sizes say what they mean: pointed at, tapped, or reached with the tab key.
{
  const meanings = JSON.parse(document.getElementById("letters")?.textContent ?? "{}");
  const says = document.createElement("div");
  says.id = "letter-says";
  says.setAttribute("role", "tooltip");
  says.hidden = true;
  const article = document.querySelector(".bd-article");
  const letterAt = (target) => {
    const node = target.closest?.("abbr.letter, math mi");
    return node && Object.hasOwn(meanings, node.textContent) ? node : null;
  };
  let shown = null;

  const hide = () => {
    says.hidden = true;
    shown?.removeAttribute("aria-describedby");
    shown = null;
  };
  const show = (node) => {
    hide();
    shown = node;
    const name = document.createElement("strong");
    name.textContent = node.textContent;
    says.replaceChildren(name, " " + meanings[node.textContent]);
    says.hidden = false;
    node.setAttribute("aria-describedby", says.id);
    // Above the letter, and within the page.
    const box = node.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left + box.width / 2 - says.offsetWidth / 2, innerWidth - says.offsetWidth - 8));
    const above = box.top - says.offsetHeight - 6;
    says.style.left = `${left}px`;
    says.style.top = `${above > 56 ? above : box.bottom + 6}px`;
  };

  // The first of each kind is a stop of the tab key: all of them would be hundreds.
  const reached = new Set();
  for (const node of document.querySelectorAll(".bd-article abbr.letter")) {
    if (reached.has(node.textContent) || !letterAt(node)) continue;
    reached.add(node.textContent);
    node.tabIndex = 0;
    node.addEventListener("focus", () => show(node));
    node.addEventListener("blur", hide);
  }
  // The article listens for all of them: a page has hundreds, and each change would cost it a layout.
  article?.addEventListener("pointerover", ({ target, pointerType }) => {
    const node = letterAt(target);
    if (node) {
      node.removeAttribute("title"); // or the browser would show it as well
      node.classList.add("letter");
    }
    if (pointerType !== "mouse") return;
    if (node) show(node);
    else if (shown && shown !== document.activeElement) hide();
  });
  article?.addEventListener("pointerleave", () => shown !== document.activeElement && hide());
  article?.addEventListener("click", ({ target }) => letterAt(target) && show(letterAt(target)));
  document.addEventListener("click", (event) => !letterAt(event.target) && hide());
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", () => shown !== document.activeElement && hide(), { passive: true });
  document.body.append(says);
}
