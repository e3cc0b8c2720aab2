"""A real kernel, and what its widgets say to a front end and hear from it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jupyter_client.manager import start_new_kernel
from jupyter_core.utils import ensure_event_loop


class Kernel:
    """Runs code, and keeps the state of every widget as a front end would.

    Everything runs in one thread of its own, because Playwright has the event loop of the first.
    With `drop_late` it shows nothing that is sent once the request behind it has ended, as Colab's
    front end does with what a thread in the background sends.
    """

    def __init__(self, *, drop_late: bool = False) -> None:
        self._drop_late = drop_late
        self._thread = ThreadPoolExecutor(1)
        self._manager, self._client = self._ask(start_new_kernel, kernel_name="python3")
        self.widgets: dict[str, dict[str, Any]] = {}
        self.updates: list[tuple[str, dict[str, Any]]] = []
        self.shown: list[dict[str, Any]] = []

    def _ask(self, function: Any, *args: Any, **more: Any) -> Any:
        return self._thread.submit(function, *args, **more).result()

    def run(self, code: str) -> str:
        """Run code and return what it printed."""
        printed: list[str] = []
        self._ask(self._client.execute_interactive, code, output_hook=self._hear(printed))
        return "".join(printed)

    def _hear(self, printed: list[str]) -> Any:
        def heard(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "comm_open":
                self.widgets[content["comm_id"]] = content["data"]["state"]
            elif kind == "comm_msg" and content["data"]["method"] == "update":
                self.updates.append((content["comm_id"], content["data"]["state"]))
                self.widgets[content["comm_id"]] |= content["data"]["state"]
            elif kind in ("display_data", "execute_result"):
                self.shown.append(content["data"])
            elif kind == "stream":
                printed.append(content["text"])
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))

        return heard

    def tell(self, comm: str, state: dict[str, Any], method: str = "update") -> None:
        """Send a widget's new state, or an event, as a front end does when the reader has acted."""
        key = "state" if method == "update" else "content"
        content = {"comm_id": comm, "data": {"method": method, key: state}}
        message = self._client.session.msg("comm_msg", content)
        self._ask(self._client.shell_channel.send, message)
        heard = self._hear([])
        while True:
            answer = self._ask(self._client.get_iopub_msg, timeout=60)
            ours = answer["parent_header"].get("msg_id") == message["header"]["msg_id"]
            if ours or not self._drop_late:
                heard(answer)
            if ours and answer["content"].get("execution_state") == "idle":
                break

    def stop(self) -> None:
        self._ask(self._client.stop_channels)
        self._ask(self._manager.shutdown_kernel, now=True)
        self._ask(lambda: ensure_event_loop().close())
        self._thread.shutdown()
