// How far the saving is, in the page's head; and, where a person must decide or know more, in a notice.
import { icon, make } from "../behaviours/listen.js"
import { toast } from "../behaviours/toasts.js"
import { differences } from "./differences.js"
import { ask } from "./server.js"

const clock = (date, seconds = true) => date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }) })
const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`

export function showStatus(saving, { take, mine, copies }) {
  const line = document.getElementById("saved")
  const notices = document.getElementById("builder-notices")
  const review = document.getElementById("conflict-review")

  saving.addEventListener("state", () => {
    const { state } = saving
    line.dataset.state = state
    line.querySelector("[data-status]").textContent = words(saving)
    line.querySelector("[data-revision]").textContent = saving.revision
    notices.replaceChildren(...notice(saving))
  })

  function words({ state, savedAt, since }) {
    if (state === "saved") return `Draft · Saved ${clock(savedAt)}`
    if (state === "offline") return `Not saved – offline since ${clock(since, false)}`
    if (state === "signed-out") return "Not saved – signed out"
    if (state === "conflict") return "Not saved – somebody else saved first"
    if (state === "refused") return "Not saved"
    return "Saving…"
  }

  function notice({ state, conflict, changes, refusal, isLosing }) {
    if (state === "conflict") {
      return [banner("warn", `${conflict.by} saved rev ${conflict.revision} while you edited. Your ${counted(changes, "change")} ${changes === 1 ? "is" : "are"} kept.`, [
        act("Review", "review"), act("Save mine as a copy", "copy"), act("Discard mine", "discard"),
      ], "conflict")]
    }
    if (state === "signed-out") {
      const link = make("a", { class: "button", href: "/login", target: "_blank", rel: "noopener" }, "Sign in in another tab", icon("external"))
      return [banner("warn", "Signed out – sign in in another tab, nothing is lost. This page goes on saving by itself.", [link], "signed-out")]
    }
    if (state === "offline") {
      const kept = isLosing ? "This browser cannot keep it, so leave this page open." : "Your changes are kept in this browser and saved as soon as the server answers."
      return [banner("", kept, [], "offline")]
    }
    if (state === "refused") {
      const what = (refusal.problems ?? []).map((each) => [each.path, each.message, each.mend].filter(Boolean).join(": ")).join(" · ")
      return [banner("bad", `${refusal.message ?? "The server refused it."} ${what}`, [], "refused")]
    }
    return []
  }

  const act = (text, name) => make("button", { class: "button", type: "button", "data-conflict": name }, text)
  const banner = (tone, text, acts, name) => make("div", { class: "banner", "data-tone": tone, "data-testid": name }, icon(tone ? "warning" : "info"), make("p", {}, text), ...acts)

  document.addEventListener("click", async (event) => {
    const name = event.target.closest?.("[data-conflict]")?.dataset.conflict
    if (name === "review") {
      review.querySelector(".conflict-diff").replaceChildren(differences(saving.conflict.document, mine(), saving.conflict.by))
      review.showModal()
    } else if (name === "mine") {
      review.close()
      saving.overwrite()
    } else if (name === "discard") {
      take(saving.discard(), "Take what was saved")
    } else if (name === "copy") {
      const { status, data } = await ask(copies, { document: mine() })
      if (status !== 201) return toast(data.message ?? "The copy could not be made. Nothing was changed.")
      take(saving.discard(), "Take what was saved")
      location.assign(data.url)
    }
  })
}
