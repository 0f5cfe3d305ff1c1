"""What a browser noticed while a page was open, and what a reader with weak eyes would notice."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, WebSocket
from streamlit.proto.BackMsg_pb2 import BackMsg

# On a deep link Streamlit's own client first looks for its server below the page's address.
_PROBES = ("/_stcore/health", "/_stcore/host-config")


@dataclass
class Watch:
    """Everything that should not have happened on a page, and what its client and the server said.

    Attributes:
        errors: Lines of the console, and exceptions of scripts.
        foreign: Addresses other than this host's that the page asked for.
        fragments: Ids of the fragments that the client asked to run again.
        received_bytes: Size of each message from the server.
    """

    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)
    received_bytes: list[int] = field(default_factory=list)
    sockets: list[WebSocket] = field(default_factory=list)

    @classmethod
    def on(cls, page: Page) -> "Watch":
        """Watch a page from before its first request."""
        watch = cls()
        page.on("console", watch._console)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on("request", watch._request)
        page.on("websocket", watch._socket)
        return watch

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not urlsplit(message.location["url"]).path.endswith(_PROBES):
            self.errors.append(f"{message.text} {message.location['url']}")

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname != "127.0.0.1":
            self.foreign.append(request.url)

    @property
    def socket(self) -> WebSocket:
        """The page's connection to the server."""
        return self.sockets[-1]

    def _socket(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        socket.on("framesent", self._sent)
        socket.on("framereceived", lambda frame: self.received_bytes.append(len(frame)))

    def _sent(self, frame: Any) -> None:
        asked = BackMsg.FromString(frame if isinstance(frame, bytes) else frame.encode())
        if asked.rerun_script.fragment_id:
            self.fragments.append(asked.rerun_script.fragment_id)


def low_contrast(page: Page) -> list[str]:
    """Visible text below WCAG AA: 4.5 to 1, or 3 to 1 from 24 px, or from 18.66 px when bold."""
    found: list[str] = page.evaluate(_LOW_CONTRAST)
    return found


_LOW_CONTRAST = """() => {
  const parse = text => {
    const n = (text.match(/[\\d.]+/g) || []).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [n[0] * scale, n[1] * scale, n[2] * scale, n.length > 3 ? n[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const layers = element => {
    const found = [];
    for (let at = element; at; at = at.parentElement) found.push(parse(getComputedStyle(at).backgroundColor));
    return found.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const opacity = element => {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= Number(getComputedStyle(at).opacity);
    return product;
  };
  const light = color => {
    const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = color.slice(0, 3).map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    const hidden = style.visibility !== 'visible' || !box.width || box.height < 2 || !opacity(element);
    if (!text || hidden || element.closest('svg,style,script,noscript')) continue;
    const below = layers(element), color = parse(style.color), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = ratio(over([...color.slice(0, 3), color[3] * opacity(element)], below), below);
    if (found < (large ? 3 : 4.5)) bad.push(`${found.toFixed(2)} ${style.color} on ${below} ${text}`);
  }
  return bad;
}"""
