"""`python -m serve.run --study NAME`: serves a study's best trial, or any export, over HTTP."""

from __future__ import annotations

import os
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from serve.client import TOKEN_VARIABLE
from serve.deployment.gpus import hide_all_gpus
from serve.deployment.preparing import backend_table, is_measured, prepare_model, prepare_tokens
from serve.deployment.serving import (
    Placement,
    check_certificate,
    check_port,
    check_proxies,
    serve_until_stopped,
)
from serve.deployment.settings import MAX_MAP_DROP, Settings, parsed
from serve.exports.locating import add_flags, located
from serve.jobs.limits import Limits
from trainers.command import Parser, run
from trainers.errors import UserError

READ_TOKEN_VARIABLE = "SERVE_READ_TOKEN"
EXAMPLES = f"""\
examples:
  python -m serve.run --study street                       a study's best trial, on http://127.0.0.1:8000
  python -m serve.run --model exports/best --port 9000     an export's folder
  python -m serve.run --model models:/street@champion      a registered model
  python -m serve.run                                      the model and the jobs already in ./serving

Jobs and models are kept in --data. After a stop or a crash, the same command continues all unfinished jobs.

limits (see serve/jobs/limits.py):
  {", ".join(Limits.model_fields)}
"""


def parser() -> Parser:
    """The command line."""
    line = Parser(
        prog="python -m serve.run",
        description="Serves a detector or a segmentation model over HTTP: a web page, and an API for images and videos.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_flags(line)
    add = line.add_argument_group("server").add_argument
    add("--port", type=int, default=8000, help="default: 8000")
    add("--tls-cert", type=Path, metavar="FILE", help="serve HTTPS with this certificate chain (PEM)")
    add("--tls-key", type=Path, metavar="FILE", help="and its key (PEM, without a password)")
    add(
        "--forwarded-allow-ips",
        default="",
        metavar="A,B",
        help="addresses or networks of reverse proxies whose X-Forwarded-Proto and -For are believed (default: none)",
    )
    add("--host", default="127.0.0.1", help="default: 127.0.0.1, reachable from this machine only")
    add(
        "--data",
        type=Path,
        default=Path("serving"),
        metavar="DIR",
        help="jobs, models, tokens (default: ./serving)",
    )
    add(
        "--database",
        default="",
        metavar="URL",
        help="postgresql://user@host/database of the jobs, for several machines",
    )
    add(
        "--files",
        default="",
        metavar="URI",
        help="s3://bucket/prefix of the files of jobs and models, for machines that share no --data",
    )
    add("--presigned", action="store_true", help="let clients fetch large results from --files directly")
    add("--prepare", action="store_true", help="prepare --data (model, token) and exit")
    add = line.add_argument_group("access").add_argument
    add(
        "--token",
        help=f"full access (default: ${TOKEN_VARIABLE}, or generated)",
    )
    add("--read-token", metavar="TOKEN", help=f"read access only (default: ${READ_TOKEN_VARIABLE})")
    add("--new-token", action="store_true", help="generate another token; see also serve.token")
    add(
        "--file-root",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="allow jobs to use file:// videos in DIR",
    )
    add(
        "--s3-prefix",
        action="append",
        default=[],
        metavar="URI",
        help="allow jobs to use videos below s3://bucket/prefix",
    )
    add(
        "--output-prefix",
        action="append",
        default=[],
        metavar="URI",
        help="allow jobs to copy their results below s3://bucket/prefix",
    )
    add(
        "--webhook-host",
        action="append",
        default=[],
        metavar="HOST",
        help="allow webhooks to HOST[:PORT] at a private address, and without TLS",
    )
    add(
        "--model-root",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="allow promoting models in DIR",
    )
    add(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a limit (names below)",
    )
    add = line.add_argument_group("machines").add_argument
    add("--cpus", type=int, metavar="N", help="CPU threads of each replica (default: all)")
    add(
        "--gpus",
        type=float,
        default=0.0,
        metavar="N",
        help="GPUs of each replica, as 1 or 0.5 (default: 0)",
    )
    add("--replicas", type=int, default=1, metavar="N", help="default: 1")
    add(
        "--max-replicas",
        type=int,
        metavar="N",
        help="add some for queued jobs (default: --replicas)",
    )
    add(
        "--jobs-at-once",
        type=int,
        default=2,
        metavar="N",
        help="concurrent videos per replica (default: 2)",
    )
    add(
        "--batch",
        type=int,
        metavar="N",
        help="largest batch of the network (default: the best one, as measured)",
    )
    add(
        "--max-map-drop",
        type=float,
        default=MAX_MAP_DROP,
        metavar="X",
        help=f"mAP that an int8 network may lose to be used (default: {MAX_MAP_DROP:g}; 0: float32 only)",
    )
    add("--address", help="a Ray cluster, or auto (default: Ray is started)")
    line.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: Namespace) -> int:
    settings = _settings(chosen)
    if not chosen.gpus:  # so that the backends are measured as the replicas will run them
        hide_all_gpus()
    check_certificate(chosen.tls_cert, chosen.tls_key)
    proxies = tuple(each.strip() for each in chosen.forwarded_allow_ips.split(",") if each.strip())
    check_proxies(proxies)
    if not chosen.prepare:
        check_port(chosen.host, chosen.port)
    _prepare(chosen, settings)
    if chosen.prepare:
        return 0
    most = max(chosen.replicas, chosen.max_replicas or 0)
    placement = Placement(
        chosen.host, chosen.port, chosen.replicas, most, chosen.gpus, chosen.address, chosen.tls_cert, chosen.tls_key,
        proxies,
    )  # fmt: skip

    def ready() -> None:
        print(f"serving on {placement.url}  (web page and API)", flush=True)

    serve_until_stopped(settings, placement, ready)
    return 0


def _settings(chosen: Namespace) -> Settings:
    limits = {}
    for word in chosen.limit:
        name, _, value = word.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            raise UserError(f"--limit {word}: must be NAME=NUMBER") from None
    for flag, least in (("replicas", 1), ("port", 1)):
        if getattr(chosen, flag) < least:
            raise UserError(f"--{flag} must be at least {least}, not {getattr(chosen, flag)}")
    return parsed(
        data=chosen.data.absolute(),
        database=chosen.database,
        files=chosen.files,
        presigned=chosen.presigned,
        file_roots=[path.absolute() for path in chosen.file_root],
        s3_prefixes=chosen.s3_prefix,
        output_prefixes=chosen.output_prefix,
        webhook_hosts=chosen.webhook_host,
        model_roots=[path.absolute() for path in (*chosen.model_root, chosen.studies_dir)],
        limits=limits,
        threads=chosen.cpus,
        batch=chosen.batch,
        max_map_drop=chosen.max_map_drop,
        jobs_at_once=chosen.jobs_at_once,
    )


def _prepare(chosen: Namespace, settings: Settings) -> None:
    """Prepare the data folder and print what will serve, and a newly generated token."""
    folder = None
    if chosen.model is not None or chosen.study is not None:
        folder = located(
            chosen.model, chosen.study, chosen.studies_dir, chosen.tracking_uri, chosen.threshold_for
        )
    export = prepare_model(settings, folder)
    names = ", ".join(export.classes)
    print(
        f"model {export.export_id}: {export.manifest.get('detector') or export.manifest.get('model')}, classes {names}",
        flush=True,
    )
    if not is_measured(settings, export):
        print("measuring which backend is the fastest here, once for this model: about a minute", flush=True)
    print("\n".join(f"  {line}" for line in backend_table(settings, export)), flush=True)
    given = chosen.token or os.environ.get(TOKEN_VARIABLE)
    read = chosen.read_token or os.environ.get(READ_TOKEN_VARIABLE)
    token = prepare_tokens(settings, given, read, chosen.new_token)
    if token is not None:
        print(f"token (shown only once; serve.token revokes it): {token}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
