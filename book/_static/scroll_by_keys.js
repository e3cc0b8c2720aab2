// What is too wide scrolls inside its own frame: then, and only then, the keyboard can reach the frame.
const frames = ".bd-article :is(table, .pst-scrollable-table-container, .cell_output, .math)";
const stop = () =>
  document.querySelectorAll(frames).forEach((frame) => {
    const scrolls = frame.scrollWidth > frame.clientWidth && /auto|scroll/.test(getComputedStyle(frame).overflowX);
    if (scrolls) frame.tabIndex = 0;
    else if (frame.tabIndex === 0) frame.removeAttribute("tabindex");
  });
addEventListener("load", stop);
addEventListener("resize", stop);
