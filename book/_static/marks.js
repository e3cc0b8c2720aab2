// Who comes from the page of results sees the words that were looked for, until Escape.
{
  const words = (new URLSearchParams(location.search).get("highlight") ?? "").split(/\s+/).filter(Boolean);
  const article = document.querySelector(".bd-article");
  const escape = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const mark = (text, pattern) => {
    const pieces = text.data.split(pattern); // every second one is a word that was looked for
    if (pieces.length > 1)
      text.replaceWith(...pieces.map((piece, i) => (i % 2 ? Object.assign(document.createElement("mark"), { textContent: piece }) : piece)));
  };
  const show = () => {
    const pattern = new RegExp(`(${words.map(escape).join("|")})`, "i");
    const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT), found = [];
    while (texts.nextNode()) if (!texts.currentNode.parentElement.closest("script, style, button, svg, math, .viewer")) found.push(texts.currentNode);
    found.forEach((text) => mark(text, pattern));
    const hide = () => {
      article.querySelectorAll("mark").forEach((one) => one.replaceWith(...one.childNodes));
      button.remove();
      removeEventListener("keydown", onKey);
      history.replaceState(null, "", location.pathname + location.hash);
    };
    const onKey = ({ key }) => key === "Escape" && hide();
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Hide search matches", onclick: hide });
    document.querySelector("#searchbox").append(button);
    addEventListener("keydown", onKey);
  };
  if (words.length && article) show();
}
