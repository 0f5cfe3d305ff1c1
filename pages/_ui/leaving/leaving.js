// Tells the server, once, that the browser shows a screen.

const told = new WeakSet();

export default function ({ setTriggerValue, parentElement }) {
  if (told.has(parentElement)) return;
  told.add(parentElement);
  setTriggerValue("shown", true);
}
