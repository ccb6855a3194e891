"""`trifocal serve`: the page and its API, on this machine unless told otherwise."""

from __future__ import annotations

import argparse
from pathlib import Path

from trifocal.apps.loaded import load_stated
from trifocal.apps.serve.limits import Limits
from trifocal.devices import usable_device
from trifocal.errors import UserError, install

_ANYWHERE = ("0.0.0.0", "::")


def run(arguments: argparse.Namespace) -> int:
    """Serve until it is stopped.

    Raises:
        UserError: the model or the index does not do, a limit is below 1, the port is taken, or the
            libraries of `trifocal[web]` are absent.
    """
    limits = Limits(
        mb=arguments.max_mb,
        megapixels=arguments.max_megapixels,
        texts=arguments.max_texts,
        boxes=arguments.max_boxes,
        archive_mb=arguments.max_archive_mb,
        pictures=arguments.max_pictures,
        queue=arguments.max_queue,
        at_once=arguments.at_once,
        seconds=arguments.seconds,
    )
    try:
        import python_multipart  # noqa: F401 - Starlette reads forms with it
        import uvicorn

        from trifocal.apps.serve.app import make_app
    except ImportError as error:
        raise UserError(
            f"the page wants libraries that are not installed ({error.name}); install them with "
            f"{install('web')}."
        ) from None
    from trifocal.apps.serve.served import serve_model

    if arguments.bank and not Path(arguments.bank).is_file():
        raise UserError(f"there is no {arguments.bank}; give a file of explanations.")
    with usable_device(arguments.device) as device:
        clip = load_stated(arguments.model, arguments, device)
    served = serve_model(
        clip,
        limits,
        index=arguments.index,
        bank=arguments.bank,
        examples=arguments.examples,
        cut=arguments.cut,
    )
    host, port = arguments.host, arguments.port
    hosts = ("*",) if host in _ANYWHERE else (host,)
    shown = f"[{host}]" if ":" in host else host
    print(f"{clip.name} is at http://{shown}:{port} (Ctrl-C stops it)", flush=True)
    try:
        uvicorn.run(
            make_app(served, limits, hosts),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=8 * (limits.queue + limits.at_once),
            timeout_keep_alive=5,
        )
    except SystemExit:
        raise UserError(f"{host}:{port} cannot be used; give another --port or --host.") from None
    finally:
        served.close()
    return 0
