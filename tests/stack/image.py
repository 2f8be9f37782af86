"""The image: the real Dockerfile built and run without a container engine, by root on Debian.

buildah builds it in a chroot. The base comes from no registry of images: it is a minimal Debian made here by
debootstrap, under the name that the Dockerfile asks for, with Debian's Python where the official image has one of its
own. So what is proven is the Dockerfile's steps and what they make, not that image.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.stack.container import Container, Image
from tests.stack.tools import ROOT, Absent, Tools

OF_THIS_MACHINE = ("/etc/ssl/certs", "/etc/pip.conf")
"""What pip needs on a machine that reaches PyPI by ways of its own; lent to the build and not in the image."""


def image(tools: Tools) -> str:
    """Build the image and see that it serves, keeps, and stops. Takes minutes, and 1.5 GB meanwhile."""
    if os.geteuid():
        raise Absent("building without a container engine takes root", "sudo make stack-test ARGS=--image")
    for name in ("debootstrap", "buildah"):
        tools.find(name)
    with tempfile.TemporaryDirectory(prefix="dchat-image-") as folder, ExitStack() as undo:
        store = ("--storage-driver", "vfs", "--root", f"{folder}/store", "--runroot", f"{folder}/run")

        def buildah(*arguments: str | Path) -> str:
            return tools.run("buildah", *store, *arguments).strip()

        base = buildah("from", "scratch")
        buildah("add", "--quiet", base, _debian(tools), "/")
        buildah("commit", "--quiet", "--rm", base, f"docker.io/library/{base_name()}")
        lent = [f"--volume={path}:{path}:ro" for path in OF_THIS_MACHINE if Path(path).exists()]
        buildah("build", "--isolation=chroot", "--pull-never", "--format=docker", *lent, "--tag=dchat", ROOT)
        settings = json.loads(buildah("inspect", "--type=image", "dchat"))["Docker"]["config"]
        container = buildah("from", "--pull-never", "dchat")
        undo.callback(buildah, "rm", container)
        files = Path(buildah("mount", container))
        Container(tools, Image.of(files, settings), Path(folder) / "volume").prove()
    return "built by buildah on Debian's Python; serves, keeps and stops with a read-only root"


def base_name() -> str:
    """The one image that the Dockerfile begins with, such as "python:3.11.14-slim-bookworm"."""
    (name,) = set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.M))
    return str(name)


def _debian(tools: Tools) -> Path:
    """A folder with Debian's files, Python among them as `python`; made once."""
    made = tools.environment / "debian"
    if not (made / "usr/local/bin/python").is_symlink():
        release = base_name().rsplit("-", 1)[1]
        tools.run("debootstrap", "--variant=minbase", "--include=python3-venv,ca-certificates", release, made)
        (made / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    return made
