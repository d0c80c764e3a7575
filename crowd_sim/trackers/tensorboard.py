"""TensorBoard: event files beside the folders, so that ``tensorboard --logdir runs/tensorboard`` shows all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crowd_sim.trackers.base import leaves


class TensorBoard:
    """See `crowd_sim.trackers.Tracker`; needs neither torch nor TensorFlow."""

    def __init__(self) -> None:
        self._writer: Any = None

    def start(self, name: str, folder: Path | None, config: Mapping[str, Any]) -> None:
        """See `Tracker`: the events are in tensorboard/NAME beside the folder."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str((folder or Path(name)).absolute().parent / "tensorboard" / name))
        rows = "\n".join(f"| {field} | {json.dumps(value, default=str)} |" for field, value in leaves(config))
        self._text("config", f"| field | value |\n| --- | --- |\n{rows}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`: a scalar each."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]), step)

    def finish(self, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """See `Tracker`: the metrics as scalars, and where the files are."""
        self.log(0, {f"metrics/{name}": value for name, value in metrics.items()})
        self._text("files", "\n".join(f"- {path}" for path in files))

    def close(self, state: str) -> None:
        """See `Tracker`."""
        if self._writer is not None:
            self._text("state", state)
            self._writer.close()

    def _text(self, tag: str, text: str) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        shown = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=shape)
        self._add(Summary(value=[Summary.Value(tag=f"{tag}/text_summary", metadata=shown, tensor=tensor)]), 0)

    def _add(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
