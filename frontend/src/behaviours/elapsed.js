// <span data-since="…Z">: how long something has taken so far, each second. The same rules as `duration` in
// orchestrator/templatetags/numbers.py, save that it shows no fractions while it runs.
const two = (n) => String(n).padStart(2, "0")

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`
  return `${Math.floor(whole / 86_400)}d ${Math.floor((whole % 86_400) / 3600)}h`
}

setInterval(() => {
  if (document.hidden) return
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = duration((Date.now() - new Date(element.dataset.since)) / 1000)
    if (element.textContent !== text) element.textContent = text
  }
}, 1000)
