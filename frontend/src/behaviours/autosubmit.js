// <form data-autosubmit>: sent when a field changes.
import { on } from "./listen.js"

on("change", "form[data-autosubmit]", (form) => form.requestSubmit())
