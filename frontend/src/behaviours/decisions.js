// Requests: a, r and c put the focus on a decision's button and never press it; e, m go to a field, q and d open a panel. Ctrl Enter
// sends the form that one is in, a decision only once its button has had the focus; Esc leaves. What is chosen together must be alike. What has been decided elsewhere cannot be sent any
// more, and what was typed stays. Rows that left an inbox are dimmed where they stand.
const typing = (element) => element.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], dialog")

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return
  if (document.documentElement.dataset.keys === "off" || !/^[a-z]$/.test(event.key)) return
  const panel = document.querySelector(`details[data-open-key="${event.key}"]`)
  if (panel) panel.open = true
  const first = event.key === "e" ? "[data-testid=edit] :is(input, textarea, select)" : `[data-focus-key="${event.key}"]:not(:disabled)`
  const target = panel?.querySelector("select, input:not([type=hidden]), textarea") ?? document.querySelector(first)
  if (!target) return
  event.preventDefault()
  target.focus()
})

let chosen = null // the decision's button that had the focus last

document.addEventListener("focusin", ({ target }) => {
  if (target.matches?.("[data-decision] [name=outcome]")) chosen = target
})

document.addEventListener("keydown", (event) => {
  const form = event.target.closest?.("[data-confirms]")
  if (!form) return
  if (event.key === "Escape" && !event.defaultPrevented) return event.target.blur()
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return
  const button = form.matches("[data-decision]") ? (form.contains(chosen) ? chosen : null) : form.querySelector("button:not([type=button])")
  if (!button || button.disabled) return
  event.preventDefault()
  form.requestSubmit(button)
})

const MOST = 25
function judge(root) {
  const boxes = [...root.querySelectorAll("[data-select]:checked")]
  const groups = new Set(boxes.map((box) => box.dataset.group))
  let why = ""
  if (boxes.length > MOST) why = `At most ${MOST} together.`
  else if (boxes.some((box) => box.dataset.risk === "high")) why = "High risk is decided one by one."
  else if (groups.size > 1 || [...groups].some((group) => group.startsWith("|"))) why = "Only what one policy asks about one tool."
  else if (boxes.some((box) => box.dataset.bulkAllowed !== "yes")) why = "The policy does not allow it."
  root.querySelector("[data-bulk-reason]").textContent = boxes.length ? why : ""
  for (const button of root.querySelectorAll("[data-bulk-act]")) button.disabled = Boolean(why) || !boxes.length
}
document.addEventListener("change", ({ target }) => target.closest?.("[data-bulk-rules]") && judge(target.closest("[data-bulk-rules]")))

for (const banner of document.querySelectorAll("[data-until]")) {
  setTimeout(() => banner.remove(), Math.max(0, new Date(banner.dataset.until) - Date.now()))
}

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
