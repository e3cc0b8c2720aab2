// The letters of the sizes say what they mean: pointed at, tapped, or reached with the tab key.
{
  const meanings = JSON.parse(document.getElementById("letters")?.textContent ?? "{}");
  const says = document.createElement("div");
  says.id = "letter-says";
  says.setAttribute("role", "tooltip");
  says.hidden = true;
  const reached = new Set();
  const letters = [...document.querySelectorAll(".bd-article abbr.letter, .bd-article math mi")].filter(
    (node) => node.textContent in meanings,
  );
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

  for (const node of letters) {
    node.removeAttribute("title"); // or the browser would show it as well
    node.classList.add("letter");
    // The first of each kind is a stop of the tab key: all of them would be hundreds.
    if (node.localName === "abbr" && !reached.has(node.textContent)) {
      reached.add(node.textContent);
      node.tabIndex = 0;
      node.addEventListener("focus", () => show(node));
      node.addEventListener("blur", hide);
    }
    node.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(node));
    node.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
    node.addEventListener("click", () => show(node));
  }
  document.addEventListener("click", (event) => !event.target.closest?.(".letter") && hide());
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", () => shown !== document.activeElement && hide(), { passive: true });
  if (letters.length) document.body.append(says);
}
