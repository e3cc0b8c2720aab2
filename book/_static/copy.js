// A button that copies a block of code: made when the reader comes near, because a page has hundreds of blocks.
{
  const write = async (code) => {
    const text = code.textContent.replace(/\n$/, "");
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    getSelection().selectAllChildren(code); // an address without https
    document.execCommand("copy");
    getSelection().removeAllRanges();
  };
  const offer = (code) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "copybtn", textContent: "Copy" });
    button.addEventListener("click", async () => {
      const said = await write(code).then(() => "Copied", () => "Not allowed");
      button.textContent = said;
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
    code.after(button);
  };
  const waiting = new Set(document.querySelectorAll("div.highlight pre"));
  const near = new IntersectionObserver(
    (entries) => entries.forEach(({ isIntersecting, target }) => isIntersecting && make(target)),
    { rootMargin: "50% 0px" },
  );
  const make = (code) => {
    near.unobserve(code);
    if (waiting.delete(code)) offer(code);
  };
  waiting.forEach((code) => near.observe(code));
  document.addEventListener("load-viewers", () => waiting.forEach(make));
}
