// A button that copies a text; where the browser does not allow that, the text is shown and selected.
import { element } from "./api.js";

/** The button, what it says, and the text's place. `text()` gives the text, or throws an error that is shown. */
export function copyButton(name, label, text) {
  const button = element("button", { type: "button", class: "small", text: name, "aria-label": label });
  const news = element("span", { class: "news", role: "status" });
  const shown = element("pre", { class: "copied", hidden: "" });
  button.addEventListener("click", async () => {
    news.textContent = "";
    shown.hidden = true;
    let copied;
    try {
      copied = await text();
    } catch (error) {
      news.textContent = error.message;
      return;
    }
    try {
      await navigator.clipboard.writeText(copied);
      news.textContent = "Copied";
    } catch {
      // Browsers have no clipboard for pages without HTTPS, and people may forbid it.
      shown.textContent = copied;
      shown.hidden = false;
      getSelection().selectAllChildren(shown);
      news.textContent = "Copy what is selected";
    }
  });
  return [button, news, shown];
}
