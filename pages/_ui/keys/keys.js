// Tells the server of keys that were pressed anywhere on the screen. What a part of it has used itself it stops.

const TYPING = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true], [role=combobox]";

const listeners = new WeakMap();

export default function ({ data, setTriggerValue, parentElement }) {
  const listener = listeners.get(parentElement) ?? { press: null, keys: [], send: null };
  listener.keys = data.keys;
  listener.send = (key) => setTriggerValue("pressed", key);
  if (!listener.press) {
    listener.press = (event) => {
      const isTyping = event.composedPath()[0].matches?.(TYPING);
      const isCombined = event.ctrlKey || event.metaKey || event.altKey;
      if (isTyping || isCombined || event.repeat || !listener.keys.includes(event.key)) return;
      event.preventDefault();
      // Streamlit runs the script again at R.
      event.stopPropagation();
      listener.send(event.key);
    };
    document.body.addEventListener("keydown", listener.press);
    listeners.set(parentElement, listener);
    parentElement.querySelector("span").dataset.listens = "";
  }
  return () => {
    document.body.removeEventListener("keydown", listener.press);
    listeners.delete(parentElement);
  };
}
