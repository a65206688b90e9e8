"""Looking inside a session while it computes: tfm/inspect.h. Needs numpy."""

from __future__ import annotations

from ctypes import byref, c_float, c_int32, c_void_p
from typing import TYPE_CHECKING, Any, Callable, List, Optional

from ._convert import number_of
from ._errors import call
from ._handles import Handle, Owner
from ._library import InspectFn, InspectOptions, lib

if TYPE_CHECKING:
    from ._session import Session

SITES = {
    name: number
    for number, name in enumerate(
        "embedding attention_norm query key value query_rotated key_rotated attention mixed attention_out middle "
        "feed_norm router experts inner feed_out stream layer_logits output_norm logits".split(),
        1,
    )
}
_NAMES = {number: name for name, number in SITES.items()}
_ALL = -1


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise ImportError("session.inspect needs numpy") from None
    return numpy


class InspectEvent:
    """Values at one site. The arrays are the library's own memory, valid inside the function only: copy what is to be
    kept.

    site, layer; head: None where the values are of all heads; row: 0 in a session; position: of the first row's
    token;
    values: [rows, columns], to be written to if the inspector writes; experts: [rows, columns] numbers of the chosen
    experts at the site "experts", otherwise None.
    """

    __slots__ = ("site", "layer", "head", "row", "position", "values", "experts")

    def __init__(self, raw: Any, write: bool) -> None:
        numpy = _numpy()
        rows, columns, stride = raw.rows, raw.columns, raw.stride
        self.site: str = _NAMES.get(raw.site, str(raw.site))
        self.layer: int = raw.layer
        self.head: Optional[int] = None if raw.head == _ALL else raw.head
        self.row: int = raw.row
        self.position: int = raw.position
        memory = (c_float * ((rows - 1) * stride + columns)).from_address(raw.values)
        self.values = numpy.ndarray((rows, columns), numpy.float32, memory, strides=(4 * stride, 4))
        self.experts = None
        if raw.experts:
            numbers = (c_int32 * (rows * columns)).from_address(raw.experts)
            self.experts = numpy.ndarray((rows, columns), numpy.int32, numbers)
            self.experts.flags.writeable = write
        self.values.flags.writeable = write

    def _copy(self) -> "InspectEvent":
        self.values = self.values.copy()
        self.experts = None if self.experts is None else self.experts.copy()
        return self


class Inspector(Owner):
    """Attached by session.inspect(). close(), or the end of a `with` block, takes it away.

    Without a function of its own it keeps copies of what it sees: events, a list of InspectEvent, and array().
    """

    def __init__(
        self,
        session: "Session",
        site: str,
        function: Optional[Callable[[InspectEvent], Optional[bool]]],
        layer: Optional[int],
        head: Optional[int],
        write: bool,
        last: bool,
    ) -> None:
        _numpy()
        if write and function is None:
            raise ValueError("an inspector that writes needs a function")
        self.events: List[InspectEvent] = []
        events, raised, state = self.events, session._raised, session._inspecting

        def see(_user: Any, raw: Any) -> int:
            state.append(None)
            try:
                event = InspectEvent(raw.contents, write)
                if function is not None:
                    return int(function(event) is False)
                events.append(event._copy())
                return 0
            except BaseException as error:
                raised.append(error)
                return 1
            finally:
                state.pop()

        options = InspectOptions.new(
            site=number_of(SITES, site, "site"),
            layer=_ALL if layer is None else layer,
            head=_ALL if head is None else head,
            write=int(write),
            last=int(last),
        )
        self._session = session
        self._function = InspectFn(see)
        out = c_void_p()
        call(lib.tfm_inspect, session._pointer, byref(options), self._function, None, byref(out))
        self._handle = Handle(out.value or 0, lib.tfm_inspector_destroy, (session._open,))
        session._inspectors.append(self)

    def array(self) -> Any:
        """What was seen, as one array: tokens in front of columns, and in front of those [layers, ...], [heads, ...] or
        [layers, heads, ...] where there were several. ValueError if the columns differ between calls."""
        numpy = _numpy()
        if not self.events:
            raise ValueError("nothing was seen yet")
        layers = sorted({event.layer for event in self.events})
        heads = sorted({-1 if event.head is None else event.head for event in self.events})
        kept = [
            [
                numpy.concatenate(
                    [e.values for e in self.events if e.layer == layer and (-1 if e.head is None else e.head) == head]
                )
                for head in heads
            ]
            for layer in layers
        ]
        made = numpy.array(kept)
        if len(heads) == 1:
            made = made[:, 0]
        return made[0] if len(layers) == 1 else made

    def clear(self) -> None:
        """Forgets the events."""
        del self.events[:]

    def close(self) -> None:
        session = getattr(self, "_session", None)
        if self._handle is not None and session is not None:
            if self in session._inspectors:
                session._inspectors.remove(self)
            if session._inspecting:  # the function is perhaps running: it must outlive this call
                session._retired.append(self._function)
        super().close()
        self._session = None  # type: ignore[assignment]
