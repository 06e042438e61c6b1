// .tabs that are wider than the window: the one that is looked at stands in view.
for (const here of document.querySelectorAll(".tabs [aria-current]")) {
  const tabs = here.parentElement
  tabs.scrollLeft = here.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2
}
