// Requests: a, r and c put the focus on a decision's button and never press it. What has been decided elsewhere cannot be sent any
// more, and what was typed stays. Rows that left an inbox are dimmed where they stand.
const typing = (element) => element.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], dialog")

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return
  if (document.documentElement.dataset.keys === "off" || !/^[a-z]$/.test(event.key)) return
  const button = document.querySelector(`[data-focus-key="${event.key}"]:not(:disabled)`)
  if (!button) return
  event.preventDefault()
  button.focus()
})

function settle() {
  if (document.querySelector("#request-news[data-over]")) {
    for (const button of document.querySelectorAll("[data-decision] [name=outcome]")) button.disabled = true
    const comment = document.querySelector("[data-decision] [data-comment]")
    if (comment) comment.readOnly = true
  }
  const gone = new Set((document.getElementById("inbox-news")?.dataset.gone ?? "").split(" "))
  for (const row of document.querySelectorAll(".request-row")) {
    row.classList.toggle("gone", gone.has(row.dataset.id))
    row.querySelector(".no-longer").hidden = !gone.has(row.dataset.id)
  }
}

document.addEventListener("htmx:after:swap", settle)
settle()
