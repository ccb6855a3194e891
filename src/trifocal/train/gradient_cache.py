"""One step's gradient: of a batch encoded in one piece, or exactly the same one in small memory.

Gradient caching (Gao et al., RepL4NLP 2021, arXiv 2101.06983): encode the batch piece by piece
without keeping activations, take the gradient of the objective with respect to the embeddings of
the whole batch, then encode each piece again and send its share of that gradient through the
towers. Random draws (dropout) are replayed, so both passes see the same network.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from trifocal.data.batching import Batch

Terms = dict[str, Tensor]
Objective = Callable[[Any, Any], Terms]
Backward = Callable[[Tensor], None]


def as_float(encoded: Any) -> Any:
    """Return the embeddings in float32: losses are never computed in half precision."""
    return _mapped(
        encoded, lambda t: t.float() if t.dtype in (torch.float16, torch.bfloat16) else t
    )


def direct_step(
    model: Callable[..., Any],
    objective: Objective,
    batch: Batch,
    backward: Backward,
    *,
    share: float = 1.0,
) -> Terms:
    """Add `share` of the batch's gradient to the parameters; return the terms, detached."""
    terms = objective(as_float(model(batch.pixels, batch.text)), batch)
    backward(_total(terms) * share)
    return {name: term.detach() for name, term in terms.items()}


def cached_step(
    model: Callable[..., Any],
    objective: Objective,
    batch: Batch,
    backward: Backward,
    *,
    chunk: int,
    share: float = 1.0,
    no_sync: Callable[[], AbstractContextManager] = contextlib.nullcontext,
    final: bool = True,
) -> Terms:
    """Do what `direct_step` does in the memory of `chunk` pictures and their share of texts.

    Args:
        model: Pixels and texts to an `Encoded`; under DDP, the wrapper.
        objective: `Encoded` and batch to named terms.
        batch: Pictures and texts.
        backward: Runs the backward pass of a loss (and scales it for fp16).
        chunk: Pictures in a piece.
        share: Factor on the loss.
        no_sync: Context in which gradients are not yet averaged over processes. Only the last
            piece is left outside of it; each piece uses both towers, so that one sees all
            parameters.
        final: Whether gradients are to be averaged after this batch at all.
    """
    pieces = _split(batch, chunk)
    states, parts = [], []
    with torch.no_grad():
        for pixels, text in pieces:
            states.append(_RandomState())
            parts.append(as_float(model(pixels, text)))
    leaves = _joined(parts)
    terms = objective(leaves, batch)
    backward(_total(terms) * share)

    image_row = text_row = 0
    for number, ((pixels, text), state) in enumerate(zip(pieces, states)):
        last = number == len(pieces) - 1
        with contextlib.nullcontext() if last and final else no_sync(), state.replayed():
            again = as_float(model(pixels, text))
            pairs = [
                *_pairs(again.image, leaves.image, image_row),
                *_pairs(again.text, leaves.text, text_row),
                # The scale is one number, whichever piece it is taken from.
                *([(again.scale, _gradient(leaves.scale))] if last else []),
            ]
            pairs = [(tensor, gradient) for tensor, gradient in pairs if tensor.requires_grad]
            torch.autograd.backward([t for t, _ in pairs], [g for _, g in pairs])
        image_row, text_row = image_row + len(pixels), text_row + len(text)
    return {name: term.detach() for name, term in terms.items()}


def _total(terms: Terms) -> Tensor:
    return torch.stack([term.float() for term in terms.values()]).sum()


def _split(batch: Batch, chunk: int) -> list[tuple[Any, Any]]:
    """Cut pictures and texts, each evenly, into the same number of pieces."""
    pictures, texts = len(batch.pixels), len(batch.text)
    count = -(-pictures // chunk)
    pieces = []
    for number in range(count):
        images = slice(number * pictures // count, (number + 1) * pictures // count)
        rows = slice(number * texts // count, (number + 1) * texts // count)
        pieces.append((batch.pixels[images], batch.text.rows(rows)))
    return pieces


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply `change` to every tensor of nested dataclasses."""
    if isinstance(value, Tensor):
        return change(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: _mapped(getattr(value, f.name), change) for f in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **fields)
    return value


def _joined(parts: list[Any]) -> Any:
    """Join the pieces' embeddings into one `Encoded` of leaves that collect gradients."""
    first = parts[0]
    joined = dataclasses.replace(
        first,
        image=_concatenated([part.image for part in parts]),
        text=_concatenated([part.text for part in parts]),
        scale=first.scale,
    )
    return _mapped(joined, _leaf)


def _leaf(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


def _concatenated(embeddings: list[Any]) -> Any:
    """Concatenate embeddings field by field; token axes are padded to the longest."""
    fields = {}
    for field in dataclasses.fields(embeddings[0]):
        tensors = [getattr(embedding, field.name) for embedding in embeddings]
        if tensors[0] is None:
            fields[field.name] = None
            continue
        if field.name in ("tokens", "mask"):
            longest = max(tensor.shape[1] for tensor in tensors)
            tensors = [_padded(tensor, longest) for tensor in tensors]
        fields[field.name] = torch.cat(tensors)
    return type(embeddings[0])(**fields)


def _padded(tensor: Tensor, length: int) -> Tensor:
    """Pad axis 1 with zeros (False for a mask) to `length`."""
    rest = length - tensor.shape[1]
    if not rest:
        return tensor
    return torch.cat([tensor, tensor.new_zeros(tensor.shape[0], rest, *tensor.shape[2:])], dim=1)


def _gradient(leaf: Tensor) -> Tensor:
    return leaf.grad if leaf.grad is not None else torch.zeros_like(leaf)


def _pairs(piece: Any, leaves: Any, row: int) -> list[tuple[Tensor, Tensor]]:
    """Pair each tensor of a piece's embedding with the gradient stored for its rows."""
    pairs = []
    for field in dataclasses.fields(piece):
        tensor = getattr(piece, field.name)
        if tensor is None or not tensor.is_floating_point():
            continue
        gradient = _gradient(getattr(leaves, field.name))[row : row + len(tensor)]
        if tensor.ndim > 2:
            gradient = gradient[:, : tensor.shape[1]]
        pairs.append((tensor, gradient))
    return pairs


class _RandomState:
    """The random generators of the CPU and of the current GPU, as they are now."""

    def __init__(self) -> None:
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None

    @contextlib.contextmanager
    def replayed(self) -> Iterator[None]:
        """Go back to that state for the block."""
        devices = [torch.cuda.current_device()] if self.cuda is not None else []
        with torch.random.fork_rng(devices=devices):
            torch.set_rng_state(self.cpu)
            if self.cuda is not None:
                torch.cuda.set_rng_state(self.cuda)
            yield
