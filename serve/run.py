"""`python -m serve.run --study NAME`: puts a study's winner, or any export, behind HTTP."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serve.api.tokens import Tokens
from serve.backends import choosing
from serve.deployment.counters import Counters
from serve.deployment.database import Database
from serve.deployment.rollout import Rollout
from serve.deployment.settings import Settings, parsed
from serve.exports import models
from serve.exports.locating import located
from trainers.command import Parser, run
from trainers.detection import export as exports
from trainers.errors import UserError
from tuning.execution import ray_processes

EXAMPLES = """\
examples:
  python -m serve.run --study retinanet-toy-city           the winner of a search, on http://127.0.0.1:8000
  python -m serve.run --model exports/best --port 9000     an export's folder
  python -m serve.run --model models:/street@champion      a registered model
  python -m serve.run                                      go on with the jobs and the model of ./serving

Jobs and models are kept in --data; the same command again goes on with every job that was waiting or running.
"""
TOKEN = "SERVE_TOKEN"


def parser() -> Parser:
    """The command line."""
    line = Parser(
        prog="python -m serve.run",
        description="Puts a detector behind HTTP.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add = line.add_argument
    add("--study", help="serve the best trial of this study")
    add(
        "--studies-dir",
        type=Path,
        default=Path("studies"),
        help="where studies are kept (default: ./studies)",
    )
    add("--model", help="an export's folder, or models:/NAME@ALIAS of MLflow's registry")
    add("--tracking-uri", help="of the MLflow server (default: mlflow.db in the studies' folder)")
    add(
        "--data",
        type=Path,
        default=Path("serving"),
        help="where jobs and models are kept (default: ./serving)",
    )
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)")
    add("--port", type=int, default=8000, help="(default: 8000)")
    add("--token", help=f"let this token do everything (default: ${TOKEN}, or one is made and printed once)")
    add("--read-token", help="let this token read, and no more")
    add("--new-token", action="store_true", help="make and print another token; the earlier ones stay good")
    add("--replicas", type=int, default=1, help="(default: 1)")
    add("--max-replicas", type=int, help="add replicas up to so many as jobs queue (default: --replicas)")
    add("--cpus", type=int, help="CPU threads of each replica (default: all)")
    add("--gpus", type=float, default=0.0, help="GPUs of each replica, fractions too (default: 0)")
    add("--batch", type=int, default=4, help="images in a call of the network, at most (default: 4)")
    add("--jobs-at-once", type=int, default=2, help="videos that a replica works on together (default: 2)")
    add(
        "--file-root",
        type=Path,
        action="append",
        default=[],
        help="a folder from which jobs may name file:// videos",
    )
    add("--s3-prefix", action="append", default=[], help="s3://bucket/prefix from which jobs may name videos")
    add(
        "--model-root",
        type=Path,
        action="append",
        default=[],
        help="a folder from which models may be promoted",
    )
    add(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one of serve/jobs/limits.py, as upload_bytes=1e9",
    )
    add("--address", help="of a running Ray cluster, or auto (default: Ray on this machine)")
    add(
        "--prepare",
        action="store_true",
        help="make the data folder with its model and token, and serve nothing",
    )
    add("--debug", action="store_true", help="show the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: Namespace) -> int:
    settings = _settings(chosen)
    if not chosen.prepare:
        _check_port(chosen.host, chosen.port)
    token = _prepare(chosen, settings)
    if not chosen.prepare:
        _serve(chosen, settings, token)
    return 0


def _settings(chosen: Namespace) -> Settings:
    limits = {}
    for word in chosen.limit:
        name, _, value = word.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            raise UserError(f"--limit {word}: give NAME=NUMBER") from None
    for flag, least in (("replicas", 1), ("port", 1)):
        if getattr(chosen, flag) < least:
            raise UserError(f"--{flag} must be at least {least}, not {getattr(chosen, flag)}")
    return parsed(
        data=chosen.data.absolute(),
        file_roots=[path.absolute() for path in chosen.file_root],
        s3_prefixes=chosen.s3_prefix,
        model_roots=[path.absolute() for path in (*chosen.model_root, chosen.studies_dir)],
        limits=limits,
        threads=chosen.cpus,
        batch=chosen.batch,
        jobs_at_once=chosen.jobs_at_once,
    )


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"{host}:{port} cannot be listened on ({reason}); give another --host or --port"
            ) from None


def _prepare(chosen: Namespace, settings: Settings) -> str | None:
    """The data folder with its model, its measured backend and a token, which is returned if it is new."""
    database = Database(settings.data / "serve.sqlite")
    rollout = Rollout(database, Counters(database))
    if chosen.model is not None or chosen.study is not None:
        export = models.keep(
            settings, located(chosen.model, chosen.study, chosen.studies_dir, chosen.tracking_uri)
        )
        rollout.begin(export.export_id)
    champion = rollout.state().champion
    if champion is None:
        raise UserError(f"{settings.data}: has no model yet; give --study NAME or --model FOLDER")
    export = exports.read(settings.models_folder / champion)
    print(
        f"model {export.export_id}: {export.manifest.get('detector')}, classes {', '.join(export.classes)}",
        flush=True,
    )
    choice = choosing.choice_for(export, settings.threads)
    print("\n".join(f"  {line}" for line in choice.table()), flush=True)
    tokens = Tokens(settings.data)
    given = chosen.token or os.environ.get(TOKEN)
    if chosen.read_token:
        tokens.add(("read",), chosen.read_token)
    if given:
        tokens.add(token=given)
    elif chosen.new_token or not tokens.exist():
        token = tokens.add()
        print(f"token (shown this once): {token}", flush=True)
        return token
    return None


def _serve(chosen: Namespace, settings: Settings, token: str | None) -> None:
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    # Ray runs its workers at niceness 15: behind anything else on the machine, though somebody waits for the answer
    os.environ.setdefault("RAY_worker_niceness", "0")
    # of what its controller looks at ten times a second, nothing changes so often here
    os.environ.setdefault("RAY_SERVE_CONTROL_LOOP_INTERVAL_S", "0.5")
    import ray
    from ray import serve as ray_serve

    from serve.deployment.application import build

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    stopped = threading.Event()
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    common: dict[str, Any] = {
        "namespace": "serve", "log_to_driver": False, "logging_level": "ERROR",
        "runtime_env": {"env_vars": {"PYTHONPATH": path}},
    }  # fmt: skip
    if chosen.address:
        try:
            ray.init(address=chosen.address, **common)
        except Exception as error:  # of no kind of its own
            line = " ".join(str(error).split())[:200]
            raise UserError(f"Ray cannot be reached at {chosen.address}: {line}") from error
    else:
        ray_processes.start(
            num_cpus=max(os.cpu_count() or 1, chosen.replicas), include_dashboard=False, **common
        )
    # after ray.init, which has handlers of its own
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        ray_serve.start(proxy_location="HeadOnly", http_options={"host": chosen.host, "port": chosen.port},
                        logging_config={"enable_access_log": False})  # fmt: skip
        most = max(chosen.replicas, chosen.max_replicas or 0)
        share = (os.cpu_count() or 1) / most
        application = build(
            settings.model_dump(mode="json")
            | {
                "replicas": chosen.replicas,
                "max_replicas": most,
                "gpus": chosen.gpus,
                "cpus": min(1.0, share),
            }
        )
        try:
            ray_serve.run(application, name="detector", route_prefix="/")
        except RuntimeError as error:
            logs = Path(ray._private.worker._global_node.get_session_dir_path()) / "logs" / "serve"
            raise UserError(
                f"the deployment failed: {' '.join(str(error).split())[:200]}; see {logs}"
            ) from error
        where = f"http://{'127.0.0.1' if chosen.host in ('0.0.0.0', '::') else chosen.host}:{chosen.port}"
        print(f"serving on {where}  (page: {where}/{'#token=' + token if token else ''})", flush=True)
        # no request comes through without Ray's own processes; whoever started this starts it again
        with contextlib.nullcontext() if chosen.address else ray_processes.watched():
            stopped.wait()
        print("stopping; jobs go on with the next start", flush=True)
        ray_serve.shutdown()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    sys.exit(main())
